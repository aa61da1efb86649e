"""Accepted bundles on the disk: verified on every load, swapped whole, reversible."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge_agent import slots
from edge_agent.heads import Heads
from edge_agent.slots import Slots
from sentry_proto.errors import MalformedMessage, SentryError, StorageError
from sentry_proto.tasks import DEFAULT_TASKS
from tests.edge_agent.bundles import bundle, other_golden, tampered

LOAD = partial(Heads, tasks=DEFAULT_TASKS)
ONE, TWO, THREE = (bundle(version) for version in (1, 2, 3))


def started(folder: Path) -> int:
    """The version that an agent starts with on this folder, confirmed."""
    found = Slots(folder, LOAD)
    version = version_of(found.start())
    found.confirm(version)
    return version


def accepted(folder: Path, *bundles: bytes) -> Slots:
    found = Slots(folder, LOAD)
    for data in bundles:
        found.confirm(found.accept(data).version)
    return found


def test_nothing_accepted_is_nothing_to_start_with(tmp_path: Path) -> None:
    assert started(tmp_path / "bundles") == 0
    assert not (tmp_path / "bundles").exists()


def test_the_last_accepted_bundle_starts_and_the_one_before_is_kept(tmp_path: Path) -> None:
    accepted(tmp_path, ONE, TWO, THREE)
    assert started(tmp_path) == 3
    assert sorted(path.name[0] for path in tmp_path.glob("*.onnx")) == ["2", "3"]


# name -> what happens to the current bundle's file
DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "one bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "another valid bundle": lambda path: path.write_bytes(THREE),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_bundle_gives_way_to_the_previous(tmp_path: Path, name: str) -> None:
    accepted(tmp_path, ONE, TWO)
    DAMAGE[name](next(tmp_path.glob("2-*.onnx")))
    found = Slots(tmp_path, LOAD)
    heads = found.start()
    assert heads is not None
    assert heads.version == 1
    assert "gave up 2-" in found.words


def test_a_damaged_pointer_is_as_good_as_none(tmp_path: Path) -> None:
    accepted(tmp_path, ONE)
    (tmp_path / "slots.json").write_text("{")
    assert started(tmp_path) == 0


@pytest.mark.promise("S4")
def test_a_bundle_that_fails_its_test_changes_nothing(tmp_path: Path) -> None:
    found = accepted(tmp_path, ONE)
    with pytest.raises(MalformedMessage, match="golden"):
        found.accept(tampered(TWO, other_golden))
    assert started(tmp_path) == 1


def test_an_older_version_is_refused(tmp_path: Path) -> None:
    found = accepted(tmp_path, TWO)
    with pytest.raises(MalformedMessage, match="older than version 2"):
        found.accept(ONE)
    assert started(tmp_path) == 2


@pytest.mark.promise("S4")
def test_two_failed_starts_bring_the_old_bundle_back_for_good(tmp_path: Path) -> None:
    accepted(tmp_path, ONE)
    first = Slots(tmp_path, LOAD)
    first.accept(TWO)
    first.trying(2)  # and the process dies before the window is scored
    assert tried(tmp_path) == 2
    found = Slots(tmp_path, LOAD)
    assert version_of(found.start()) == 1
    with pytest.raises(MalformedMessage, match="failed on this machine before"):
        found.accept(TWO)
    found.confirm(1)
    assert started(tmp_path) == 1
    assert found.accept(THREE).version == 3


def tried(folder: Path) -> int:
    """The version that an agent starts with, and that dies at its first window."""
    found = Slots(folder, LOAD)
    version = version_of(found.start())
    found.trying(version)
    found.trying(version)  # of one run, the second window is no second trial
    return version


def test_runs_that_end_before_there_was_anything_to_score_say_nothing_about_a_bundle(tmp_path: Path) -> None:
    accepted(tmp_path, ONE)
    Slots(tmp_path, LOAD).accept(TWO)
    for _ in range(5):
        assert version_of(Slots(tmp_path, LOAD).start()) == 2
    assert [tried(tmp_path) for _ in range(3)] == [2, 2, 1], "and neither do they excuse it"


def version_of(heads: Heads | None) -> int:
    return heads.version if heads else 0


def test_only_the_version_that_scored_is_confirmed(tmp_path: Path) -> None:
    found = accepted(tmp_path, ONE)
    found.accept(TWO)
    found.trying(2)
    found.trying(1)
    found.confirm(1)  # a window that was under way with the old heads says nothing about the new ones
    assert tried(tmp_path) == 2
    assert version_of(Slots(tmp_path, LOAD).start()) == 1


def test_a_look_leaves_no_trace(tmp_path: Path) -> None:
    accepted(tmp_path, ONE)
    before = (tmp_path / "slots.json").read_bytes()
    assert version_of(Slots(tmp_path, LOAD, read_only=True).start()) == 1
    assert (tmp_path / "slots.json").read_bytes() == before


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.promise("S4")
@pytest.mark.parametrize("survived", range(8))
def test_a_kill_at_any_step_of_an_accept_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    accepted(tmp_path, ONE)
    steps = iter(range(100))

    def step(real: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            if next(steps) == survived:
                raise Killed
            return real(*arguments)

        return counted

    monkeypatch.setattr("sentry_proto.durable.os.fsync", step(os.fsync))
    monkeypatch.setattr(Path, "replace", step(Path.replace))
    found = Slots(tmp_path, LOAD)
    try:
        found.start()
        found.accept(TWO)
    except Killed:
        pass
    monkeypatch.undo()
    assert started(tmp_path) in (1, 2)


def test_a_full_disk_keeps_the_incumbent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = accepted(tmp_path, ONE)

    def full(path: Path, data: bytes) -> None:
        raise StorageError("No space left on device")

    monkeypatch.setattr(slots, "write_durable", full)
    with pytest.raises(SentryError, match="No space"):
        found.accept(TWO)
    monkeypatch.undo()
    assert started(tmp_path) == 1


def test_heads_for_another_expression_model_are_passed_over_with_nothing_held_against_them(tmp_path: Path) -> None:
    Slots(tmp_path, LOAD).accept(ONE)
    other = Slots(tmp_path, partial(Heads, tasks=DEFAULT_TASKS, backbone="ab" * 32))
    assert other.start() is None
    assert "is for expression model" in other.words
    assert version_of(Slots(tmp_path, LOAD).accept(ONE)) == 1, "as after a downgrade"
