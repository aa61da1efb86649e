"""The restore drill: a trainer that is lost comes back from one file, and its agents go on."""

from __future__ import annotations

import shutil
import tarfile
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tuf.api.metadata import Metadata, Timestamp

from sentry_proto.errors import EnvironmentFault, InputError, KeyFileError, StorageError
from sentry_proto.keys import AGENT
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import NOW, arrival, hex_id
from trainer_service import backup, keyring, schema
from trainer_service.app import Settings, running
from trainer_service.copies import copy_database
from trainer_service.database import Database
from trainer_service.enrolment import Enrolment
from trainer_service.keyring import Home
from trainer_service.publisher import Publisher
from trainer_service.store import Store

pytestmark = pytest.mark.promise("R12")


def windows(store: Store) -> int:
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(schema.windows)) or 0


def timestamp_version(home: Home) -> int:
    return Metadata[Timestamp].from_file(str(home.repository / "metadata" / "timestamp.json")).signed.version


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Database:
    """An empty database of the same kind."""
    if isinstance(database, Path):
        return tmp_path / "new" / "store.sqlite"
    address: str = request.getfixturevalue("cluster").new_database()
    return address


def test_a_lost_trainer_comes_back_whole(
    home: Home, store: Store, database: Database, elsewhere: Database, tmp_path: Path
) -> None:
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    publisher.publish(1, b"heads", NOW)
    store.ingest([arrival(window(hex_id(n)), n) for n in range(1, 4)], 0.0)
    backup.back_up(home, database, tmp_path / "backup", NOW, secrets=True)
    publisher.publish(2, b"newer heads", NOW)  # lost, but agents have seen it
    seen = timestamp_version(home)
    names = keyring.load_server_key(home)

    new = Home(tmp_path / "new")
    assert backup.restore(tmp_path / "backup", new, elsewhere, NOW).taken == NOW.isoformat()
    restored = Store(elsewhere)
    assert windows(restored) == 3
    restored.close()
    assert keyring.load_server_key(new) == names
    assert new.enrolled.read_bytes() == home.enrolled.read_bytes()
    assert timestamp_version(new) > seen, "agents would refuse it as a rollback"
    assert Publisher(new.repository, keyring.load_online_signers(new)).current_version() == 1
    assert not new.offline.exists()


def test_a_backup_under_load_holds_whole_batches(home: Home, tmp_path: Path) -> None:
    store, ended, sizes = Store(home.database), threading.Event(), set()

    def load() -> None:
        first = 1
        while not ended.is_set():
            store.ingest([arrival(window(hex_id(n)), n) for n in range(first, first + 10)], 0.0)
            first += 10

    writer = threading.Thread(target=load)
    writer.start()
    for number in range(3):
        backup.back_up(home, home.database, tmp_path / "backup", NOW, secrets=True)
        new = Home(tmp_path / f"new{number}")
        backup.restore(tmp_path / "backup", new, new.database, NOW)
        copy = Store(new.database)
        sizes.add(windows(copy) % 10)
        copy.close()
    ended.set()
    writer.join()
    store.close()
    assert sizes == {0}


def test_keys_are_in_a_backup_only_if_asked_for(home: Home, tmp_path: Path) -> None:
    Store(home.database).close()
    backup.back_up(home, home.database, tmp_path / "backup", NOW)
    secrets = [path.read_bytes() for folder in (home.online, home.offline) for path in folder.iterdir()]
    secrets.append(keyring.load_server_key(home).secret.encode())
    held = (tmp_path / "backup").read_bytes()
    assert not any(secret in held for secret in secrets)
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    new = Home(tmp_path / "new")
    with pytest.raises(InputError, match=r"holds no keys: put trainer\.key, control\.key, online/heads\.pem"):
        backup.restore(tmp_path / "backup", new, new.database, NOW)
    new.folder.mkdir()
    for name in ("trainer.key", "control.key"):
        shutil.copy(home.folder / name, new.folder)
    shutil.copytree(home.online, new.online)
    backup.restore(tmp_path / "backup", new, new.database, NOW)
    assert new.database.exists()


def test_a_restore_never_overwrites(home: Home, tmp_path: Path) -> None:
    Store(home.database).close()
    backup.back_up(home, home.database, tmp_path / "backup", NOW)
    with pytest.raises(StorageError, match="holds a trainer already"):
        backup.restore(tmp_path / "backup", home, home.database, NOW)


def test_what_is_no_trainer_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="sentry-keys init"):
        backup.back_up(Home(tmp_path), tmp_path / "store.sqlite", tmp_path / "backup", NOW)


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign", "missing"])
def test_a_damaged_backup_is_refused_and_nothing_written(home: Home, tmp_path: Path, damage: str) -> None:
    Store(home.database).close()
    file = tmp_path / "backup"
    backup.back_up(home, home.database, file, NOW, secrets=True)
    data = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        with tarfile.open(file) as archive:
            data[archive.getmember(backup.DATABASE).offset_data + 5_000] ^= 1
        file.write_bytes(data)
    elif damage == "foreign":
        file.write_text("hello")
    else:
        file.unlink()
    new = Home(tmp_path / "new")
    with pytest.raises(InputError, match=r"damaged|cannot read|no backup"):
        backup.restore(file, new, new.database, NOW)
    assert not new.folder.exists()


def test_whom_a_restore_lets_in_is_asked_first(home: Home, tmp_path: Path) -> None:
    Store(home.database).close()
    for name in ("lab-1", "lab-2", "old"):
        keyring.enroll(home, name, tmp_path / name, AGENT, NOW)
    keyring.revoke(home, "old", NOW)
    backup.back_up(home, home.database, tmp_path / "backup", NOW, secrets=True)
    new, asked = Home(tmp_path / "new"), []

    def admit(enrolled: dict[str, str]) -> list[str]:
        asked.append(enrolled)
        return ["lab-2"]

    backup.restore(tmp_path / "backup", new, new.database, NOW, admit)
    day = "enrolled 2026-06-01"
    assert asked == [{"control": f"control, {day}", "lab-1": f"agent, {day}", "lab-2": f"agent, {day}"}]
    assert Enrolment(new.enrolled).names(AGENT) == ["lab-1"]
    other = Home(tmp_path / "other")
    with pytest.raises(InputError, match="nobody is enrolled under the name 'lab-9' in this backup"):
        backup.restore(tmp_path / "backup", other, other.database, NOW, lambda _: ["lab-9"])
    assert not other.folder.exists()


STEPS = {
    "before the files": ("write_durable", 1),
    "among the files": ("write_durable", 5),
    "before the signatures": ("_outbid", 0),
    "after the signatures": ("_outbid", 1),
    "before the database": ("restore_database", 0),
    "after the database": ("restore_database", 1),
}
"""Where a restore is killed: in which part of its work, and after how many of them."""


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_restore_can_be_repeated_and_runs_no_trainer(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = Store(home.database)
    store.ingest([arrival(window(hex_id(n)), n) for n in range(1, 4)], 0.0)
    store.close()
    backup.back_up(home, home.database, tmp_path / "backup", NOW, secrets=True)
    new = Home(tmp_path / "new")
    work, most = STEPS[step]
    whole, done = getattr(backup, work), []

    def killed(*arguments: object) -> None:
        done.append(1)
        if len(done) <= most:
            whole(*arguments)
        if len(done) >= most:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backup, work, killed)
        with pytest.raises(KeyboardInterrupt):
            backup.restore(tmp_path / "backup", new, new.database, NOW)
    with pytest.raises(EnvironmentFault, match="was interrupted; repeat it"), running(Settings(new)):
        pass
    backup.restore(tmp_path / "backup", new, new.database, NOW)
    restored = Store(new.database)
    assert windows(restored) == 3
    restored.close()
    assert not new.restoring.exists()


def test_a_backup_in_a_trial_holds_one_state_of_it(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(home.database).close()
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    publisher.publish(1, b"heads", NOW)
    copied: list[int] = []

    def copy(database: Database, out: Path) -> Path:
        if not copied:  # a trial begins while the database is copied for the first time
            publisher.ask({"lab-1": 0.0})
            publisher.try_out(2, b"tried heads", NOW)
        copied.append(publisher.tried_version())
        return copy_database(database, out)

    monkeypatch.setattr(backup, "copy_database", copy)
    backup.back_up(home, home.database, tmp_path / "backup", NOW, secrets=True)
    assert copied == [2, 2], "the first copy does not go with the files"
    new = Home(tmp_path / "new")
    backup.restore(tmp_path / "backup", new, new.database, NOW)
    assert Publisher(new.repository, keyring.load_online_signers(new)).tried_version() == 2


def test_versions_after_a_restore_are_above_all_that_may_be_lost(home: Home, tmp_path: Path) -> None:
    Store(home.database).close()
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    publisher.publish(7, b"heads", NOW)
    backup.back_up(home, home.database, tmp_path / "backup", NOW, secrets=True)
    new = Home(tmp_path / "new")
    backup.restore(tmp_path / "backup", new, new.database, NOW)
    restored = Publisher(new.repository, keyring.load_online_signers(new))
    assert restored.floor() == 1_007
    restored.publish(1_008, b"next", NOW)
    restored.renew(NOW)
    assert restored.floor() == 1_007, "later signatures carry it on"
