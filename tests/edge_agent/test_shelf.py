"""Windows that were passed over: kept for a while, found again by their start, and never in the way."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_agent import shelf as module
from edge_agent.shelf import Shelf
from sentry_proto.codec import encode_record
from sentry_proto.types import Stratum, Wanted, Window
from tests.sentry_proto.records import window

SESSION = "s0001"
T = 1_750_000_000.0


def passed_over(number: int, participant: str = "P01", consent: str = "consent-1") -> Window:
    """One of a session's windows, which come every 5 s."""
    return window(f"{number:032x}", participant=participant, start=T + 5 * number, stratum=Stratum.NEIGHBOUR,
                  inclusion_probability=1.0, seed=number, consent_id=consent)  # fmt: skip


def wanted(number: float, participant: str = "P01", session: str = SESSION) -> Wanted:
    return Wanted(participant, session, T + 5 * number)


def taken(shelf: Shelf, *wishes: Wanted) -> list[str]:
    return [found.window_id for found in shelf.take(wishes)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "shelf.sqlite")
    for number in range(10):
        shelf.put(passed_over(number))
    return shelf


def test_what_is_wanted_is_found_by_its_nearest_start_and_once(shelf: Shelf) -> None:
    assert taken(shelf, wanted(3.4), wanted(6)) == [f"{3:032x}", f"{6:032x}"]
    assert taken(shelf, wanted(3), wanted(6)) == []
    (found,) = shelf.take([wanted(4)])
    assert encode_record(found) == encode_record(passed_over(4))


def test_another_person_session_or_time_is_not_here(shelf: Shelf) -> None:
    assert taken(shelf, wanted(3, participant="P02"), wanted(3, session="s0002"), wanted(10.6), wanted(-0.6)) == []


def test_it_outlives_the_agent(shelf: Shelf, tmp_path: Path) -> None:
    shelf.close()
    again = Shelf(tmp_path / "shelf.sqlite")
    assert taken(again, wanted(3)) == [f"{3:032x}"]


def test_the_oldest_give_way_to_new_ones(tmp_path: Path) -> None:
    size = len(encode_record(passed_over(0)))
    small = Shelf(tmp_path / "shelf.sqlite", quota=4 * size)
    for number in range(10):
        small.put(passed_over(number))
    assert taken(small, *map(wanted, range(10))) == [f"{number:032x}" for number in range(6, 10)]


def test_after_a_week_nobody_asks(shelf: Shelf) -> None:
    later = round(86_400 * module.DAYS / 5)
    shelf.put(passed_over(later + 5))
    assert taken(shelf, *map(wanted, range(10))) == [f"{number:032x}" for number in range(5, 10)]


def test_a_withdrawn_consent_leaves_nothing_in_the_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf.sqlite")
    shelf.put(passed_over(0))
    shelf.put(passed_over(1, participant="P-gone", consent="consent-2"))
    assert b"P-gone" in (tmp_path / "shelf.sqlite").read_bytes()
    shelf.withdraw(["consent-2"])
    assert b"P-gone" not in (tmp_path / "shelf.sqlite").read_bytes()
    assert taken(shelf, wanted(0), wanted(1, participant="P-gone")) == [f"{0:032x}"]


def test_the_last_room_on_a_disk_is_not_taken(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_FREE", 1 << 60)
    shelf.put(passed_over(11))
    assert taken(shelf, wanted(11), wanted(3)) == [f"{3:032x}"]


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "shelf.sqlite").write_bytes(b"no database" * 1_000)
    shelf = Shelf(tmp_path / "shelf.sqlite")
    shelf.put(passed_over(1))
    assert taken(shelf, wanted(1)) == [f"{1:032x}"]


def test_a_damaged_record_is_passed_by(shelf: Shelf, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shelf.sqlite") as other:
        other.execute("UPDATE shelf SET record = x'ff' WHERE start = ?", (T + 15,))
    other.close()
    assert taken(shelf, wanted(3)) == []
    assert taken(shelf, wanted(4)) == [f"{4:032x}"]


def test_nothing_is_kept_or_found_once_it_is_closed(shelf: Shelf) -> None:
    shelf.close()
    shelf.put(passed_over(20))
    assert taken(shelf, wanted(3)) == []
