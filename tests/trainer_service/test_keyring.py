from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from sentry_proto.errors import EnvironmentFault, InputError, KeyFileError
from sentry_proto.keys import AGENT, CONTROL, AllowList, KeyFile
from tests.trainer_service.conftest import NOW
from trainer_service import keyring, keys_cli
from trainer_service.keyring import Home


def test_no_private_file_can_be_read_by_others(home: Home) -> None:
    private = [home.server_key, home.control_key, *home.offline.iterdir(), *home.online.iterdir()]
    assert {path.name for path in home.offline.iterdir()} == {"root.pem", "targets.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_init_never_overwrites(home: Home) -> None:
    before = home.server_key.read_bytes()
    with pytest.raises(InputError, match="already holds a trainer's keys"):
        keyring.init(home.folder, "127.0.0.1", 7710, NOW)
    assert home.server_key.read_bytes() == before


def test_a_key_file_holds_all_that_a_machine_needs(home: Home, tmp_path: Path) -> None:
    keyring.enroll(home, "lab-1", tmp_path / "lab-1.key", AGENT, NOW)
    key = KeyFile.load(tmp_path / "lab-1.key", AGENT)
    server = keyring.load_server_key(home)
    assert (key.server, key.endpoints) == (server.public, server.endpoints)
    assert key.root == json.loads(home.root_metadata.read_text())
    assert AllowList(home.enrolled).name_of(key.public, AGENT) == "lab-1"
    assert AllowList(home.enrolled).name_of(key.public, CONTROL) is None


def test_a_revoked_name_may_come_back_with_a_new_key_only(home: Home, tmp_path: Path) -> None:
    old = keyring.enroll(home, "lab-1", tmp_path / "old.key", AGENT, NOW)
    keyring.revoke(home, "lab-1", NOW)
    assert AllowList(home.enrolled).name_of(old.public, AGENT) is None
    new = keyring.enroll(home, "lab-1", tmp_path / "new.key", AGENT, NOW)
    allowed = AllowList(home.enrolled)
    assert (allowed.name_of(new.public, AGENT), allowed.name_of(old.public, AGENT)) == ("lab-1", None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "cannot be a name"),
        ("../lab", "cannot be a name"),
        ("lab 1", "cannot be a name"),
        ("x" * 65, "cannot be a name"),
        ("control", "already enrolled"),
    ],
)
def test_impossible_names(home: Home, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        keyring.enroll(home, name, tmp_path / "out.key", AGENT, NOW)
    assert not (tmp_path / "out.key").exists()


def test_enrolling_does_not_overwrite_a_file(home: Home, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(InputError, match="already exists"):
        keyring.enroll(home, "lab-1", tmp_path / "mine", AGENT, NOW)
    assert (tmp_path / "mine").read_text() == "precious"
    assert "lab-1" not in AllowList(home.enrolled).entries


def test_revoking_says_what_is_wrong(home: Home) -> None:
    with pytest.raises(InputError, match="nobody is enrolled under the name 'lab-9'"):
        keyring.revoke(home, "lab-9", NOW)
    keyring.revoke(home, "control", NOW)
    with pytest.raises(InputError, match="already revoked"):
        keyring.revoke(home, "control", NOW)


@pytest.mark.parametrize("content", ["{}", '{"sentry_trainer": 9}', "no json", "[]"])
def test_a_damaged_server_key_is_named(home: Home, content: str) -> None:
    home.server_key.write_text(content)
    with pytest.raises(KeyFileError, match=r"trainer\.key"):
        keyring.load_server_key(home)


def test_a_damaged_signing_key_is_named(home: Home) -> None:
    (home.online / "heads.pem").write_text("no key")
    with pytest.raises(KeyFileError, match=r"heads\.pem is not a private key"):
        keyring.load_online_signers(home)


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    first, second = (keyring.hold_lock(tmp_path / "lock", "taken") for _ in range(2))
    with first, pytest.raises(EnvironmentFault, match="taken"), second:
        pytest.fail("two hold it")
    with keyring.hold_lock(tmp_path / "lock", "taken"):
        pass


def test_the_commands_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--dir", str(tmp_path / "t")]
    assert keys_cli.main(["enroll", "lab-1", *where]) == KeyFileError.exit_code
    assert "sentry-keys init" in capsys.readouterr().err
    assert keys_cli.main(["init", *where]) == 0
    assert keys_cli.main(["enroll", "lab-1", *where, "--out", str(tmp_path / "k")]) == 0
    assert keys_cli.main(["revoke", "lab-1", *where]) == 0
    capsys.readouterr()
    assert keys_cli.main(["list", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [["control", "control", "enrolled"], ["lab-1", "agent", "revoked"]]


def test_the_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENTRY_DIR", str(tmp_path))
    assert keyring.default_home() == tmp_path
    monkeypatch.delenv("SENTRY_DIR")
    assert keyring.default_home().name == "trainer"
    assert os.fspath(tmp_path) not in os.fspath(keyring.default_home())


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(EnvironmentFault, match=r"cannot use .*lock"), keyring.hold_lock(tmp_path / "lock", "busy"):
        pass
