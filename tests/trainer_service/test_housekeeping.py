"""What the trainer does by itself, and what commands do to its folder, stands in the audit log."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sentry_proto.errors import StorageError
from tests.e2e.study import Study, eventually, run
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import arrival, hex_id
from trainer_service import audit, cli, journal, keyring, keys_cli, schema
from trainer_service.audit import Entry
from trainer_service.housekeeping import DAY_S, Housekeeping
from trainer_service.keyring import Home
from trainer_service.roles import Actor, Role
from trainer_service.store import Store

NOON = 1_750_000_000.0


def log_of(store: Store) -> list[dict[str, Any]]:
    with store.read() as connection:
        return audit.listed(connection, [], 100)


def windows_in(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(schema.windows.c.window_id)))


def put_old_and_new(store: Store, now: float) -> None:
    for number, days in ((1, 200), (2, 179)):
        store.ingest([arrival(window(hex_id(number)), number)], now - days * DAY_S)


def test_retention_is_carried_out_every_day_and_written_down(store: Store, tmp_path: Path) -> None:
    put_old_and_new(store, NOON)
    nudged: list[str] = []
    keeper = Housekeeping(store, tmp_path / "journal.jsonl", 180, lambda: nudged.append("learner"))
    keeper.look(NOON, 0.0)
    assert windows_in(store) == [hex_id(2)]
    (entry,) = log_of(store)
    assert (entry["actor"], entry["action"], entry["target"]) == ("the trainer", "retention", "older than 180 days")
    assert entry["details"].startswith("0 labels, 1 windows")
    assert nudged == ["learner"]
    keeper.look(NOON + 2 * DAY_S, DAY_S - 1)
    assert windows_in(store) == [hex_id(2)], "a day has not passed"
    keeper.look(NOON + 2 * DAY_S, DAY_S)
    assert windows_in(store) == []
    keeper.look(NOON + 3 * DAY_S, 2 * DAY_S)
    assert len(log_of(store)) == 2, "a day on which nothing went has no row"


def test_without_a_limit_nothing_is_deleted(store: Store, tmp_path: Path) -> None:
    put_old_and_new(store, NOON)
    Housekeeping(store, tmp_path / "journal.jsonl", None, lambda: None).look(NOON, 0.0)
    assert len(windows_in(store)) == 2


def test_what_fails_is_tried_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "journal.jsonl"
    journal.write(file, Entry(NOON, Actor("user ann", Role.KEY), "enroll", "lab-1"))
    keeper = Housekeeping(store, file, None, lambda: None)
    with monkeypatch.context() as broken:
        broken.setattr(store, "write", lambda: (_ for _ in ()).throw(StorageError("the disk is full")))
        keeper.look(NOON, 0.0)
    keeper.look(NOON, 1.0)
    assert [entry["action"] for entry in log_of(store)] == ["enroll"]


def test_a_journal_is_taken_in_once_whatever_happens(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    first = Entry(NOON, Actor("user ann", Role.KEY), "enroll", "lab-1", details="agent")
    journal.write(file, first)
    with file.open("a") as torn:
        torn.write("not an entry\n")
    assert journal.take_in(store, file) == 1
    assert journal.take_in(store, file) == 0
    journal.write(file, replace(first, time=NOON + 1, action="revoke"))
    assert journal.take_in(store, file) == 1
    found = [(entry["time"], entry["actor"], entry["action"], entry["target"]) for entry in log_of(store)]
    assert found == [(NOON + 1, "user ann", "revoke", "lab-1"), (NOON, "user ann", "enroll", "lab-1")]
    assert file.stat().st_mode & 0o777 == 0o600


def test_each_command_on_keys_leaves_a_line(tmp_path: Path) -> None:
    home = Home(tmp_path / "trainer")
    where = ["--dir", str(home.folder)]
    for command in (
        ["init", "--port", "7900"],
        ["enroll", "lab-1", "--out", str(tmp_path / "lab-1.key")],
        ["rotate", "agent", "lab-1", "--out", str(tmp_path / "new.key")],
        ["rotate", "online", "heads"],
        ["approve"],
        ["revoke", "lab-1"],
    ):
        assert keys_cli.main([*command, *where]) == 0
    assert keys_cli.main(["revoke", "nobody", *where]) != 0
    done = [(entry.action, entry.target, entry.details) for entry in journal.read(home.journal)]
    assert done == [
        ("init", "127.0.0.1", ""), ("enroll", "lab-1", "agent"), ("rotate", "lab-1", ""),
        ("rotate", "online keys", "heads"), ("approve", "the shipped expression model", ""), ("revoke", "lab-1", ""),
    ]  # fmt: skip
    assert {entry.actor.name for entry in journal.read(home.journal)} == {journal.somebody().name}


def test_retention_by_hand_is_written_down(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(home.database)
    put_old_and_new(store, time.time())
    assert cli.main(["retention", "--days", "180", "--dry-run", "--dir", str(home.folder)]) == 0
    assert log_of(store) == []
    assert cli.main(["retention", "--days", "180", "--dir", str(home.folder)]) == 0
    assert "deleted 0 labels, 1 windows" in capsys.readouterr().out
    (entry,) = log_of(store)
    assert (entry["actor"], entry["action"]) == (journal.somebody().name, "retention")
    store.close()


def test_a_restore_is_written_down(home: Home, tmp_path: Path) -> None:
    Store(home.database).close()
    backup, new = tmp_path / "monday.tar", tmp_path / "new"
    assert cli.main(["backup", str(backup), "--with-keys", "--dir", str(home.folder)]) == 0
    assert cli.main(["restore", str(backup), "--dir", str(new), "--yes"]) == 0
    (entry,) = journal.read(Home(new).journal)
    assert (entry.action, entry.target) == ("restore", "monday.tar")
    assert entry.details.startswith("what was there at 20")


@pytest.mark.e2e
def test_a_running_trainer_takes_commands_into_its_log_and_follows_the_study_file(tmp_path: Path) -> None:
    study = Study(tmp_path)
    store = Store(keyring.Home(study.trainer_dir).database)
    put_old_and_new(store, time.time())
    store.close()
    (tmp_path / "study.toml").write_text("retention_days = 180")
    try:
        study.start_trainer("--study", str(tmp_path / "study.toml"))
        study.enroll("lab-7")
        assert run("sentry-keys", "revoke", "lab-7", "--dir", study.trainer_dir).returncode == 0

        def done() -> bool:
            found = {entry["action"] for entry in study.control.call("audit_log")}
            return {"retention", "revoke"} <= found

        eventually(done, 20, "both are in the log")
        assert study.control.call("study")["retention_days"] == 180
        assert study.status()["windows"] == 1
    finally:
        study.close()
