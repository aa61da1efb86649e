"""What a machine's policy forbids, and what it says of what the machine is for."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from edge_agent import cli, policy
from edge_agent.policy import Policy, load_policy
from perception.session_metadata import FILE as SESSION
from sentry_proto.errors import InputError
from tests.edge_agent.test_cli import good_video


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the policy of this machine would stand."""
    path = tmp_path / "policy.toml"
    monkeypatch.setattr(policy, "FILE", path)
    return path


def test_a_machine_without_a_policy_forbids_and_declares_nothing(file: Path) -> None:
    assert load_policy() == Policy()
    load_policy().check(preview=True, video=True, stills=True)


# name -> (policy, command, words)
FORBIDDEN = {
    "a preview": ("preview = false", ("run", "--source", "puppet", "--preview", "0"), "preview = false"),
    "its picture": (
        "video = false", ("run", "--source", "puppet", "--preview", "0", "--preview-picture"), "video = false",
    ),
    "stills": ("stills = false", ("run", "--source", "puppet", "--stills", "--key", "k"), "stills = false"),
    "a video": ("video = false", ("record", "--participant", "P01", "--source", "puppet", "--video"), "video = false"),
    "another purpose": (
        "purpose = 'clinical'", ("record", "--participant", "P01", "--purpose", "research"), "clinical, not research",
    ),
    "a slip in its name": ("previews = false", ("run", "--source", "puppet"), "knows purpose, preview"),
    "a slip in its value": ("preview = 'no'", ("run", "--source", "puppet"), "true or false"),
    "no purpose": ("purpose = 'fun'", ("extract", "a.mp4", "--out", "b"), "purpose must be one of research"),
    "no TOML": ("preview: false", ("webrtc",), "cannot be read"),
    "TOML without an end": (f"preview = {'[' * 9_999}", ("webrtc",), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_is_refused_in_words(file: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    text, command, words = FORBIDDEN[name]
    file.write_text(text)
    assert cli.main(command) == InputError.exit_code
    error = capfd.readouterr().err
    assert words in error
    assert str(file) in error
    assert "RECORDING" not in error


def test_what_is_not_forbidden_goes_on(file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text("purpose = 'clinical'\npreview = true\nvideo = false")
    run = ("run", "--source", str(good_video(tmp_path)), "--speed", "max", "--preview", "0", "--json")
    assert cli.main([*run, "--data-dir", str(tmp_path / "data")]) == 0
    out, error = capfd.readouterr()
    assert json.loads(out)["purpose"] == "clinical"
    assert "Declared purpose: clinical." in error


def test_the_declared_purpose_is_stamped_into_what_is_written(file: Path, tmp_path: Path) -> None:
    file.write_text("purpose = 'safety'")
    video, table = str(good_video(tmp_path)), tmp_path / "features.parquet"
    assert cli.main(["extract", video, "--out", str(table)]) == 0
    assert pq.read_schema(table).metadata[b"sentry_purpose"] == b"safety"
    data = ("--data-dir", str(tmp_path / "data"))
    cli.main(["consent", "grant", "--participant", "P01", *data])
    record = ("record", "--participant", "P01", "--source", video, "--speed", "max", "--ask", "none")
    assert cli.main([*record, "--questionnaires", "none", "--out", str(tmp_path / "sessions"), *data]) == 0
    (session,) = (tmp_path / "sessions").rglob(SESSION)
    assert json.loads(session.read_text())["purpose"] == "safety"


def test_without_a_policy_a_recording_is_for_research_and_an_extraction_for_what_is_said(
    file: Path, tmp_path: Path
) -> None:
    video, table = str(good_video(tmp_path)), tmp_path / "features.parquet"
    for asked, stamped in (((), b""), (("--purpose", "clinical"), b"clinical")):
        assert cli.main(["extract", video, "--out", str(table), *asked]) == 0
        assert pq.read_schema(table).metadata[b"sentry_purpose"] == stamped
    assert Policy().purpose_of(None, "research") == "research"
