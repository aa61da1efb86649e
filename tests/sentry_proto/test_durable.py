"""What root writes on behalf of a service, the service can still read."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.consent import ConsentBook
from edge_agent.folder import make_folder
from sentry_proto.durable import write_durable
from sentry_proto.keys import AGENT, KeyFile
from tests.trainer_service.conftest import NOW
from trainer_service import backup, keyring
from trainer_service.enrolment import Enrolment
from trainer_service.keyring import Home
from trainer_service.store import Store

SERVICE = 65_534
"""The user `nobody`, for the service's own."""

LINE = 60
"""Bytes of what the service's user says at once."""

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the service's user, in a place that this user can reach."""
    made = Path(tempfile.mkdtemp(prefix="sentry-test-"))
    os.chown(made, SERVICE, SERVICE)
    yield made
    shutil.rmtree(made)


def test_a_new_file_is_private_and_a_replaced_one_keeps_its_mode(tmp_path: Path) -> None:
    write_durable(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").chmod(0o640)
    write_durable(tmp_path / "file", b"newer")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@AS_ROOT
def test_what_root_writes_belongs_to_the_service(folder: Path) -> None:
    write_durable(folder / "new" / "file", b"")
    make_folder(folder / "data" / "deep")
    owned = [folder / "new", folder / "new" / "file", folder / "data", folder / "data" / "deep"]
    os.chown(folder / "new" / "file", 1, 1)
    write_durable(folder / "new" / "file", b"again")
    assert [path.stat().st_uid for path in owned] == [SERVICE, 1, SERVICE, SERVICE]


def follow(home: Home, consents: Path, keys: list[KeyFile], said: int) -> None:
    """As the service's user, say ten times a second who is let in and whose consent holds."""
    os.setgid(SERVICE)
    os.setuid(SERVICE)
    allowed, book = Enrolment(home.enrolled), ConsentBook(consents)
    while True:
        allowed.refresh()
        names = [name for key in keys if (name := allowed.name_of(key.public, AGENT))]
        live = [record.participant for record in book.records if record.live(time.time())]
        os.write(said, " ".join(names + live).encode().ljust(LINE))
        time.sleep(0.1)


@AS_ROOT
@pytest.mark.promise("S2")
def test_what_root_revokes_and_withdraws_is_followed_by_another_user_within_5_s(folder: Path) -> None:
    home = keyring.init(folder / "trainer", "127.0.0.1", 7710, NOW)
    keys = [keyring.enroll(home, name, folder / f"{name}.key", AGENT, NOW) for name in ("lab-1", "lab-2")]
    book = ConsentBook(folder / "consent.json")
    book.grant("P01", None, time.time())
    book.grant("P02", None, time.time())
    heard, said = os.pipe()
    child = os.fork()  # another interpreter may lie where this user cannot go
    if not child:
        try:
            follow(home, book.path, keys, said)
        finally:
            os._exit(1)
    os.close(said)
    try:
        assert os.read(heard, LINE).split() == [b"lab-1", b"lab-2", b"P01", b"P02"]
        keyring.revoke(home, "lab-1", NOW)
        book.withdraw("P01", time.time())
        deadline, words = time.monotonic() + 5, b""
        while time.monotonic() < deadline and words.split() != [b"lab-2", b"P02"]:
            words = os.read(heard, LINE)
            assert words, "the service has ended"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)
    assert words.split() == [b"lab-2", b"P02"]


@AS_ROOT
def test_what_root_restores_belongs_to_the_service(folder: Path, tmp_path: Path) -> None:
    home = keyring.init(tmp_path / "trainer", "127.0.0.1", 7710, NOW)
    Store(home.database).close()
    backup.back_up(home, home.database, tmp_path / "backup", NOW, secrets=True)
    new = Home(folder / "trainer")
    backup.restore(tmp_path / "backup", new, new.database, NOW)
    assert {path.stat().st_uid for path in (new.folder, *new.folder.rglob("*"))} == {SERVICE}
