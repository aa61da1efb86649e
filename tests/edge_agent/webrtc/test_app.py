"""How the server may be set up: HTTPS, STUN and TURN, the text, and what heartbeats tell."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.state import RunOptions, State
from edge_agent.webrtc import cli
from edge_agent.webrtc.app import (
    SOURCE,
    Board,
    Selectors,
    ServeOptions,
    check_secure,
    keep_text,
    load_ice,
    make_house,
    tls_context,
)
from sentry_proto.errors import InputError, MissingDependency
from sentry_proto.types import CameraState


def options(folder: Path, **more: Any) -> ServeOptions:
    return ServeOptions(RunOptions(SOURCE, folder), **more)


PEM = Path("cert.pem")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"host": "0.0.0.0"}, "no camera without HTTPS"),
        ({"host": "lab.example"}, "no camera without HTTPS"),
        ({"cert": PEM}, "both"),
        ({"cert_key": PEM}, "both"),
    ],
)
def test_what_no_browser_would_give_a_camera_for_is_refused(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_secure(options(tmp_path, **more))


TAKEN: list[dict[str, Any]] = [
    {},
    {"host": "localhost"},
    {"host": "::1"},
    {"host": "0.0.0.0", "proxied": True},
    {"host": "0.0.0.0", "cert": PEM, "cert_key": PEM},
]


@pytest.mark.parametrize("more", TAKEN)
def test_what_browsers_take_is_taken(tmp_path: Path, more: dict[str, Any]) -> None:
    check_secure(options(tmp_path, **more))


def test_a_certificate_that_is_none_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(InputError, match=r"cert\.pem"):
        tls_context(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_no_server_is_asked_unless_one_is_named(tmp_path: Path) -> None:
    assert make_house(options(tmp_path)).ice == []
    servers = [{"urls": "turn:turn.lab.example", "username": "u", "credential": "c"}]
    (tmp_path / "ice.json").write_text(json.dumps(servers))
    assert make_house(options(tmp_path, ice=tmp_path / "ice.json")).ice == servers


NO_SERVERS = ["", "{}", "[1]", '[{"url": "stun:x"}]', '[{"urls": "stun:x", "more": 1}]']
NO_ADDRESSES: list[Any] = [
    [], 3, "", "x", "stn:x", "stun:", "https://x", "stun:x:port", "stun:x:99999", "stun:x?transport=udp",
    ["stun:x", "trun:x"], "turn:x",
]  # fmt: skip


@pytest.mark.parametrize("text", [*NO_SERVERS, *(json.dumps([{"urls": urls}]) for urls in NO_ADDRESSES)])
def test_a_list_of_servers_that_is_none_is_reported(tmp_path: Path, text: str) -> None:
    """At the start, and not when the first participant connects."""
    (tmp_path / "ice.json").write_text(text)
    with pytest.raises(InputError, match=r"ice\.json"):
        load_ice(tmp_path / "ice.json")


def test_the_text_that_was_agreed_to_is_kept_under_its_version(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("# Our study\nPlease read.")
    shipped, own = make_house(options(tmp_path)), make_house(options(tmp_path, information=tmp_path / "text.txt"))
    assert shipped.version != own.version
    keep_text(tmp_path, own)
    assert (tmp_path / "consent_texts" / f"{own.version}.txt").read_text() == "# Our study\nPlease read."


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe", b"x" * 30_000])
def test_a_text_that_cannot_be_shown_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(InputError, match="information for participants"):
        make_house(options(tmp_path, information=tmp_path / "text.txt"))


def test_what_the_trainer_wishes_for_concerns_every_booth(tmp_path: Path) -> None:
    selectors = Selectors(RunOptions(SOURCE, tmp_path, audit=0.1))
    before = selectors.make()
    selectors.set_audit(0.4)
    assert before.audit_probability == selectors.make().audit_probability == 0.4
    selectors.set_audit(0.0)
    assert before.audit_probability == 0.1


def visit(participant: str, frames: int) -> Any:
    state = State(participant=participant, session="s1", camera=CameraState.OK, frames=frames, event_time=5.0)
    return SimpleNamespace(booth=SimpleNamespace(state=state))


def test_heartbeats_tell_of_who_has_been_here_longest_and_of_all_frames() -> None:
    agent = State()
    board = Board(agent)
    board.show([visit("P-01", 10), visit("P-02", 5)])
    assert (agent.participant, agent.camera, agent.frames, agent.event_time) == ("P-01", CameraState.OK, 15, 5.0)
    board.show([visit("P-02", 25)])
    assert (agent.participant, agent.frames) == ("P-02", 25)
    board.show([])
    assert (agent.participant, agent.camera, agent.frames) == ("", CameraState.UNPLUGGED, 25)


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(MissingDependency, match=r"sentry-lab\[edge,webrtc\]"):
        cli._require("no_such_library")
