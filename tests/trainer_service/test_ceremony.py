"""Keys are replaced, and clients that trusted the old ones go on with no new key file."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import RepositoryError

from sentry_proto.errors import EnvironmentFault, InputError, KeyFileError, MissingDependency
from sentry_proto.keys import AGENT, CONTROL, AllowList, KeyFile
from tests.edge_agent.bundles import other_model
from tests.trainer_service.test_publisher import Client
from trainer_service import ceremony, expiries, keyring, keys_cli, offline_keys
from trainer_service.ceremony import Offline
from trainer_service.keyring import ONLINE, Home
from trainer_service.offline_keys import Custody
from trainer_service.publisher import Publisher
from trainer_service.repository import approved_model

NOW = datetime.now(UTC)
LONG = b"correct horse battery"


def published(home: Home, version: int, data: bytes) -> None:
    Publisher(home.repository, keyring.load_online_signers(home)).publish(version, data, NOW)


def offline(*folders: Path, passphrase: bytes = b"") -> Offline:
    return Offline(folders, lambda _: passphrase)


@pytest.fixture
def lab(tmp_path: Path) -> Home:
    """A trainer with three custodians, of whom two must agree."""
    return keyring.init(tmp_path / "lab", "127.0.0.1", 7710, NOW, Custody(3, 2))


@pytest.mark.parametrize("roles", [("heads",), ("snapshot",), ("timestamp",), ONLINE])
def test_new_online_keys_reach_clients_and_the_old_ones_end(lab: Home, tmp_path: Path, roles: tuple[str, ...]) -> None:
    client, old = Client(lab, tmp_path / "cache"), keyring.load_online_signers(lab)
    published(lab, 1, b"one")
    assert client.fetch() == (1, b"one")
    ceremony.rotate_online(lab, roles, offline(lab.offline / "1", lab.offline / "3"), NOW)
    assert client.fetch() == (1, b"one"), "the current state is signed anew"
    published(lab, 2, b"two")
    assert client.fetch() == (2, b"two")
    Publisher(lab.repository, old).publish(3, b"three", NOW)
    with pytest.raises(RepositoryError):
        client.fetch()


def test_too_few_custodians_change_nothing(lab: Home) -> None:
    before = {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    one = lab.offline / "1"
    for roles in (("heads",), ("timestamp",)):
        with pytest.raises(KeyFileError, match=r"needs 2 of this trainer's 3 \w+ keys, and 1 are here"):
            ceremony.rotate_online(lab, roles, offline(one, one), NOW)
    with pytest.raises(KeyFileError, match="needs 2"):
        ceremony.rotate_offline(lab, offline(one), lab.folder / "new", Custody(), NOW)
    after = {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    assert {path for path in after if before.get(path) != after[path]} <= {lab.folder / keyring.SERVING}


def test_a_strangers_keys_do_not_count(lab: Home, tmp_path: Path) -> None:
    stranger = keyring.init(tmp_path / "stranger", "127.0.0.1", 7710, NOW, Custody(2, 2))
    with pytest.raises(KeyFileError, match="and 0 are here"):
        ceremony.rotate_online(lab, ["heads"], offline(stranger.offline), NOW)


def test_new_offline_keys_reach_clients_and_the_old_ones_end(lab: Home, tmp_path: Path) -> None:
    client = Client(lab, tmp_path / "cache")
    published(lab, 1, b"one")
    client.fetch()
    ceremony.rotate_offline(lab, offline(lab.offline), tmp_path / "new", Custody(2, 2), NOW)
    assert client.fetch() == (1, b"one")
    assert Client(lab, tmp_path / "late").fetch() == (1, b"one"), "with the trust anchor of a new key file"
    with pytest.raises(KeyFileError, match="and 0 are here"):
        ceremony.rotate_online(lab, ["heads"], offline(lab.offline), NOW)
    ceremony.rotate_online(lab, ONLINE, offline(tmp_path / "new"), NOW)
    published(lab, 2, b"two")
    assert client.fetch() == (2, b"two")


def test_a_client_that_slept_through_many_changes_follows(lab: Home, tmp_path: Path) -> None:
    client = Client(lab, tmp_path / "cache")
    for i in range(3):
        ceremony.rotate_online(lab, ONLINE, offline(lab.offline), NOW + timedelta(seconds=i))
    published(lab, 1, b"one")
    assert client.fetch() == (1, b"one")


def test_a_trial_outlives_new_keys(lab: Home) -> None:
    publisher = Publisher(lab.repository, keyring.load_online_signers(lab))
    publisher.publish(1, b"one", NOW)
    publisher.ask({"lab-1": 0.0})
    publisher.try_out(2, b"two", NOW)
    ceremony.rotate_online(lab, ONLINE, offline(lab.offline), NOW)
    again = Publisher(lab.repository, keyring.load_online_signers(lab))
    assert (again.current_version(), again.tried_version()) == (1, 2)


def test_no_ceremony_while_the_trainer_runs(lab: Home, tmp_path: Path) -> None:
    with lab.stopped():
        for forbidden in (
            lambda: ceremony.rotate_online(lab, ONLINE, offline(lab.offline), NOW),
            lambda: ceremony.rotate_offline(lab, offline(lab.offline), tmp_path / "new", Custody(), NOW),
            lambda: keyring.rotate_server(lab, tmp_path / "keys", NOW),
        ):
            with pytest.raises(EnvironmentFault, match="stop it first"):
                forbidden()


@pytest.mark.parametrize(("keys", "threshold"), [(0, 0), (1, 2), (2, 0), (10, 1)])
def test_impossible_custody(tmp_path: Path, keys: int, threshold: int) -> None:
    with pytest.raises(InputError, match="--root-keys"):
        keyring.init(tmp_path / "t", "127.0.0.1", 7710, NOW, Custody(keys, threshold))
    assert not (tmp_path / "t").exists()


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    made = offline_keys.make(tmp_path / "media", Custody(ask=lambda _: LONG))
    assert b"ENCRYPTED" in (tmp_path / "media/root.pem").read_bytes()
    (found,) = offline_keys.load([tmp_path / "media"], "root", lambda _: LONG)
    assert found.public_key == made.root[0].public_key
    with pytest.raises(KeyFileError, match=r"root\.pem is not opened by this passphrase"):
        offline_keys.load([tmp_path / "media"], "root", lambda _: b"a guess that is wrong")
    with pytest.raises(InputError, match="12 characters"):
        offline_keys.make(tmp_path / "other", Custody(ask=lambda _: b"short"))


def test_a_machine_gets_a_new_key(lab: Home, tmp_path: Path) -> None:
    old = keyring.enroll(lab, "lab-1", tmp_path / "old.key", AGENT, NOW)
    new = keyring.rotate(lab, "lab-1", tmp_path / "new.key", NOW)
    allowed = AllowList(lab.enrolled)
    assert (allowed.name_of(old.public, AGENT), allowed.name_of(new.public, AGENT)) == (None, "lab-1")
    keyring.revoke(lab, "lab-1", NOW)
    with pytest.raises(InputError, match="nobody is enrolled"):
        keyring.rotate(lab, "lab-1", tmp_path / "third.key", NOW)


def test_the_trainer_gets_a_new_key_and_all_others_a_new_file(lab: Home, tmp_path: Path) -> None:
    keyring.enroll(lab, "lab-1", tmp_path / "lab-1.key", AGENT, NOW)
    keyring.enroll(lab, "lab-2", tmp_path / "lab-2.key", AGENT, NOW)
    keyring.revoke(lab, "lab-2", NOW)
    before = keyring.load_server_key(lab).public
    assert [path.name for path in keyring.rotate_server(lab, tmp_path / "new", NOW)] == ["lab-1.key"]
    public = keyring.load_server_key(lab).public
    assert public != before
    allowed = AllowList(lab.enrolled)
    for path, role, name in ((tmp_path / "new/lab-1.key", AGENT, "lab-1"), (lab.control_key, CONTROL, CONTROL)):
        key = KeyFile.load(path, role)
        assert (key.server, allowed.name_of(key.public, role)) == (public, name)


def test_expiry_in_words(lab: Home) -> None:
    rows = {row.role: row for row in expiries.of(lab)}
    assert (rows["root"].threshold, rows["root"].keys, rows["heads"].keys) == (2, 3, 1)
    assert "days left" in rows["root"].words(NOW)
    assert "sentry-keys rotate root" in rows["targets"].words(NOW + timedelta(days=3500))
    assert "RUN OUT: agents say frozen; start the trainer" in rows["timestamp"].words(NOW + timedelta(days=3))


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    where = ["--dir", str(tmp_path / "t")]

    def keys(*arguments: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        capsys.readouterr()
        status = keys_cli.main([*arguments, *where])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    custody = ["--root-keys", "2", "--threshold", "2", "--encrypt"]
    assert "differ" in keys("init", *custody, typed="first passphrase\nanother passphrase\n")[1]
    assert "12 characters" in keys("init", *custody, typed="first passphrase\n" * 2 + "short\n" * 2)[1]
    two = "first passphrase\n" * 2 + "second passphrase\n" * 2
    status, words = keys("init", *custody, "--port", "7000", typed=two)
    assert status == 0, words
    assert f"each of {tmp_path}/t/offline/1 to {tmp_path}/t/offline/2" in words
    both = ["--offline", str(tmp_path / "t/offline/1"), "--offline", str(tmp_path / "t/offline/2")]
    typed = "first passphrase\nsecond passphrase\n"
    status, words = keys("rotate", "online", "heads", *both, typed=typed)
    assert (status, "New keys for heads" in words) == (0, True), words
    assert "there is no online key root" in keys("rotate", "online", "root", *both)[1]
    assert "is not opened by this passphrase" in keys("rotate", "online", *both, typed="no\nno\n")[1]
    status, words = keys("rotate", "root", "--out", str(tmp_path / "new"), *both, typed=typed)
    assert (status, "destroy the old ones" in words) == (0, True), words
    assert keys("enroll", "lab-1", "--out", str(tmp_path / "1.key"))[0] == 0
    assert keys("rotate", "agent", "lab-1", "--out", str(tmp_path / "2.key"))[0] == 0
    assert "lab-1.key" in keys("rotate", "trainer", "--out", str(tmp_path / "keys"))[1]
    listed = json.loads(keys("list", "--json")[1])
    assert [(entry["name"], entry["role"], entry["revoked"]) for entry in listed] == [
        ("control", CONTROL, None),
        ("lab-1", AGENT, None),
    ]
    ends = {row["role"]: row for row in json.loads(keys("expiry", "--json")[1])}
    assert (ends["root"]["version"], ends["root"]["threshold"], ends["targets"]["version"]) == (2, 1, 3)
    assert ends["timestamp"]["seconds_left"] > 0
    assert "timestamp" in keys("expiry")[1]


def test_an_expression_model_takes_the_offline_keys(lab: Home, tmp_path: Path) -> None:
    published(lab, 1, b"one")
    model = tmp_path / "other.onnx"
    model.write_bytes(b"no model")
    with pytest.raises(MissingDependency, match="cannot be loaded"):
        ceremony.approve(lab, model, offline(lab.offline), NOW)
    model.write_bytes(other_model())
    with pytest.raises(KeyFileError, match="needs 2"):
        ceremony.approve(lab, model, offline(lab.offline / "1"), NOW)
    assert approved_model(lab.repository) == ""
    assert keys_cli.main(["approve", str(model), "--dir", str(lab.folder)]) == 0
    assert approved_model(lab.repository) == hashlib.sha256(model.read_bytes()).hexdigest()
    assert Client(lab, tmp_path / "cache").fetch() == (1, b"one")
    assert keys_cli.main(["approve", "--dir", str(lab.folder)]) == 0
    assert approved_model(lab.repository) == ""
