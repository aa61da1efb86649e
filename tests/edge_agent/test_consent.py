"""Consent records: who may be recorded, and that a withdrawal is heard."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from edge_agent import consent
from edge_agent.consent import ConsentBook, Permit, end_of_day
from sentry_proto.errors import ConsentMissing, InputError, StorageError

NOW = 1_750_000_000.0


@pytest.fixture
def book(tmp_path: Path) -> ConsentBook:
    return ConsentBook(tmp_path / "consent.json")


def test_nobody_has_agreed_before_they_did(book: ConsentBook) -> None:
    assert book.live("P01", NOW) is None
    with pytest.raises(ConsentMissing, match="consent grant --participant P01"):
        book.require("P01", NOW)


def test_a_grant_holds_for_its_participant_only(book: ConsentBook) -> None:
    record = book.grant("P01", None, NOW)
    assert book.require("P01", NOW + 1e9) == record
    assert book.live("P02", NOW) is None
    assert record.text_version == consent.TEXT_VERSION


def test_a_grant_ends_with_its_last_day(book: ConsentBook) -> None:
    book.grant("P01", NOW + 100, NOW)
    assert book.live("P01", NOW + 99)
    assert book.live("P01", NOW + 100) is None


def test_a_withdrawal_ends_every_record_and_is_kept(book: ConsentBook) -> None:
    ids = {book.grant("P01", None, NOW).consent_id, book.grant("P01", None, NOW).consent_id}
    book.grant("P02", None, NOW)
    assert book.withdraw("P01", NOW + 1) == 2
    assert book.live("P01", NOW + 2) is None
    assert book.live("P02", NOW + 2)
    assert book.withdrawn_ids() == ids
    assert len(book.records) == 3
    assert book.withdraw("P01", NOW + 3) == 0


def test_video_is_covered_only_where_the_record_says_so(book: ConsentBook) -> None:
    book.grant("P01", None, NOW)
    with pytest.raises(ConsentMissing, match=r"does not cover video; .*--participant P01 .*--video$"):
        book.require("P01", NOW, ["video"])
    record = book.grant("P01", None, NOW, video=True)
    assert book.require("P01", NOW, ["video"]) == book.require("P01", NOW) == record
    assert "features, video" in consent.describe(record, NOW)
    with pytest.raises(ConsentMissing, match=r"P02 has no live consent record .* --video"):
        book.require("P02", NOW, ["video"])


def test_each_kind_of_picture_is_agreed_to_by_itself(book: ConsentBook) -> None:
    book.grant("P01", None, NOW, video=True)
    with pytest.raises(ConsentMissing, match=r"does not cover stills; .*--participant P01 .*--video --stills$"):
        book.require("P01", NOW, ["video", "stills"])
    record = book.grant("P01", None, NOW, stills=True)
    assert book.require("P01", NOW, ["stills"]) == record
    assert "features, stills" in consent.describe(record, NOW)
    with pytest.raises(ConsentMissing, match="does not cover video"):
        book.require("P01", NOW, ["video", "stills"])


def test_a_record_of_an_earlier_version_covers_no_picture(book: ConsentBook) -> None:
    book.grant("P01", None, NOW)
    records = json.loads(book.path.read_text())
    del records[0]["video"], records[0]["stills"]
    book.path.write_text(json.dumps(records))
    assert book.require("P01", NOW).lacks(["video", "stills"]) == ["video", "stills"]


def test_a_record_of_a_later_version_holds(book: ConsentBook) -> None:
    record = book.grant("P01", None, NOW)
    records = json.loads(book.path.read_text())
    book.path.write_text(json.dumps([{**records[0], "sound": True}]))
    assert ConsentBook(book.path).require("P01", NOW) == record


def test_another_process_sees_it(book: ConsentBook) -> None:
    book.grant("P01", None, NOW)
    other = ConsentBook(book.path)
    assert other.live("P01", NOW)
    book.withdraw("P01", NOW)
    assert other.live("P01", NOW) is None


UNTIL_SOON = (
    '[{"consent_id": "c", "participant": "P01", "granted": 1, "until": "soon", "withdrawn": null, "text_version": ""}]'
)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"participant": "P01"}]', "null", UNTIL_SOON, "[" * 50_000])
def test_damaged_records_are_an_error_and_not_a_consent(book: ConsentBook, content: str) -> None:
    book.path.write_text(content)
    with pytest.raises(StorageError, match="cannot be read"):
        book.live("P01", NOW)


@pytest.mark.parametrize("name", ["", " P01", "P01\n", "x" * 201])
def test_a_pseudonym_that_cannot_travel_is_refused(book: ConsentBook, name: str) -> None:
    with pytest.raises(InputError, match="named by"):
        book.grant(name, None, NOW)


def test_a_date_is_good_to_its_end() -> None:
    assert time.localtime(end_of_day("2030-02-28"))[:5] == (2030, 2, 28, 23, 59)
    with pytest.raises(InputError, match="YYYY-MM-DD"):
        end_of_day("next week")


def test_a_consent_cannot_lie_in_the_past(book: ConsentBook) -> None:
    with pytest.raises(InputError, match="beyond now"):
        book.grant("P01", NOW - 1, NOW)


def test_a_permit_hears_of_a_withdrawal(book: ConsentBook) -> None:
    record = book.grant("P01", None, time.time())
    permit = Permit(book, "P01", "")
    assert permit.consent_id == record.consent_id
    permit.check(time.monotonic() + 1)
    book.withdraw("P01", time.time())
    with pytest.raises(ConsentMissing, match="recording has stopped"):
        permit.check(time.monotonic() + 2)


def test_a_permit_ends_with_what_it_needs(book: ConsentBook) -> None:
    book.grant("P01", None, time.time(), stills=True)
    permit = Permit(book, "P01", "", ["stills"])
    book.grant("P01", None, time.time())
    with pytest.raises(ConsentMissing, match="recording has stopped"):
        permit.check(time.monotonic() + 2)


def test_where_nobody_is_asked_nobody_can_withdraw(book: ConsentBook) -> None:
    permit = Permit(book, None, "puppet")
    permit.check(time.monotonic() + 10)
    assert permit.consent_id == "puppet"


def test_two_processes_that_change_the_records_lose_no_withdrawal(tmp_path: Path) -> None:
    path = tmp_path / "consent.json"
    people = [f"P{number:02d}" for number in range(10)]
    for who in people:
        ConsentBook(path).grant(who, None, NOW)

    def grant() -> None:
        for number in range(10):
            ConsentBook(path).grant(f"Q{number:02d}", None, NOW)

    def withdraw() -> None:
        for who in people:
            ConsentBook(path).withdraw(who, NOW + 1)

    threads = [threading.Thread(target=work) for work in (grant, withdraw)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = ConsentBook(path).records
    assert len(records) == 20
    assert [r.participant for r in records if r.live(NOW + 2)] == [f"Q{number:02d}" for number in range(10)]
