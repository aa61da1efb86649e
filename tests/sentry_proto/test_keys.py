from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from sentry_proto.errors import KeyFileError
from sentry_proto.keys import AGENT, CONTROL, AllowList, Endpoints, KeyFile


def key_file(name: str = "lab-1", role: str = AGENT) -> KeyFile:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    server, _ = (key.decode() for key in zmq.curve_keypair())
    return KeyFile(name, role, public, secret, server, Endpoints.of("127.0.0.1", 5701), {"signed": {}})


def test_a_key_file_is_private_and_survives_the_disk(tmp_path: Path) -> None:
    path, key = tmp_path / "lab-1.sentrykey", key_file()
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyFile.load(path, AGENT) == key


def edit(**changes: object) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


BROKEN_KEY_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "cannot read"),
    "readable by others": (lambda path: path.chmod(0o644), "chmod 600"),
    "no JSON": (lambda path: path.write_text("secret"), "no JSON"),
    "a list": (lambda path: path.write_text("[]"), "no JSON object"),
    "another program's": (lambda path: path.write_text("{}"), "not a Sentry key file"),
    "a format of the future": (edit(sentry_key=99), "key format"),
    "a superfluous field": (edit(colour="red"), "not a Sentry key file"),
    "half a key": (edit(secret="abc"), "not a Sentry key file"),
    "endpoints of another shape": (edit(endpoints="tcp://x"), "not a Sentry key file"),
}


@pytest.mark.parametrize("case", BROKEN_KEY_FILES)
def test_a_broken_key_file_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    damage, words = BROKEN_KEY_FILES[case]
    path = tmp_path / "lab-1.sentrykey"
    key_file().save(path)
    damage(path)
    with pytest.raises(KeyFileError, match=words):
        KeyFile.load(path, AGENT)


def test_a_key_for_another_role_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "control.key"
    key_file(role=CONTROL).save(path)
    with pytest.raises(KeyFileError, match="role 'control'"):
        KeyFile.load(path, AGENT)


def test_the_allow_list_follows_its_file(tmp_path: Path) -> None:
    path = tmp_path / "enrolled.json"
    allowed = AllowList(path)
    assert allowed.name_of("key-a", AGENT) is None
    entry = {"public": "key-a", "role": AGENT, "enrolled": "2026-01-01", "revoked": None}
    path.write_text(json.dumps({"lab-1": entry}))
    assert allowed.refresh()
    assert allowed.name_of("key-a", AGENT) == "lab-1"
    assert allowed.name_of("key-a", CONTROL) is None
    path.write_text(json.dumps({"lab-1": {**entry, "revoked": "2026-02-01"}}))
    assert allowed.refresh()
    assert allowed.name_of("key-a", AGENT) is None
    assert not allowed.refresh()
