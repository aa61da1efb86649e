"""The outbox on a real SQLite file: nothing is lost uncounted, whatever is full, killed or damaged."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.outbox import Outbox, Scored
from sentry_proto.codec import decode_record, encode_record
from sentry_proto.errors import StorageError
from sentry_proto.types import Alert, ScoredCount, Stratum, Window
from tests.conftest import Reached
from tests.sentry_proto.records import alert, window

CALM = Scored(1, "P01", "stress", alerting=False)
ALARMED = Scored(1, "P01", "stress", alerting=True)
RECORD_BYTES = len(encode_record(window()))


def check(outbox: Outbox) -> None:
    totals = outbox.totals()
    assert totals.sent == totals.acked + totals.spooled + totals.dropped
    assert totals.spooled == len(outbox.pending((), 10_000))


def sequences(outbox: Outbox) -> list[int]:
    return [sequence for sequence, _ in outbox.pending((), 10_000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


def test_a_record_waits_until_it_is_acked_across_restarts(path: Path) -> None:
    first = Outbox(path)
    record = window()
    first.put([record, alert()])
    first.close()
    second = Outbox(path)
    assert second.stream == first.stream
    assert [type(decode_record(data)) for _, data in second.pending((), 10)] == [Window, Alert]
    second.ack([1, 2, 99])
    second.ack([1])
    assert vars(second.totals()) == {"sent": 2, "acked": 2, "spooled": 0, "dropped": 0}


def test_an_outbox_of_a_newer_version_is_refused_untouched(path: Path) -> None:
    Outbox(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match=r"newer version of Sentry \(its format is 99, this one knows up to 1\)"):
        Outbox(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_an_outbox_from_before_versions_keeps_what_it_holds(path: Path) -> None:
    first = Outbox(path)
    first.put([alert()])
    first.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    assert sequences(Outbox(path)) == [1]


def test_a_sequence_is_never_used_again(path: Path) -> None:
    for expected in (1, 2, 3):
        outbox = Outbox(path)
        outbox.put([alert()])
        assert sequences(outbox) == [expected]
        outbox.ack([expected])
        outbox.close()


def test_what_is_in_flight_is_not_offered_again(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([alert() for _ in range(5)])
    assert [s for s, _ in outbox.pending({1, 3}, 2)] == [2, 4]
    assert outbox.pending((), 0) == []


def test_a_refused_record_counts_as_dropped_and_its_reason_is_kept(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([alert()])
    outbox.refuse(1, "too old")
    assert vars(outbox.totals()) == {"sent": 1, "acked": 0, "spooled": 0, "dropped": 1}
    assert outbox.last_refusal == "too old"


def test_a_full_spool_drops_uncertain_windows_first_then_audits_then_alerts(path: Path) -> None:
    outbox = Outbox(path, quota=int(3.5 * RECORD_BYTES))
    order = [Stratum.ALERT, Stratum.UNCERTAIN, Stratum.AUDIT, Stratum.UNCERTAIN, Stratum.ALERT, Stratum.ALERT]
    left = []
    for stratum in order:
        outbox.put([window(stratum=stratum)])
        left.append([record.stratum.value for record in map(decode, outbox.pending((), 10))])
        check(outbox)
    assert left[3:] == [
        ["alert", "audit", "uncertain"],
        ["alert", "audit", "alert"],
        ["alert", "alert", "alert"],
    ]
    assert outbox.totals().dropped == 3
    outbox.put([window(stratum=Stratum.UNCERTAIN)])
    assert outbox.totals().dropped == 4, "a less worthy newcomer goes itself"
    assert sequences(outbox) == [1, 5, 6]


def decode(row: tuple[int, bytes]) -> Window:
    record = decode_record(row[1])
    assert isinstance(record, Window)
    return record


def test_counts_add_up_across_restarts(path: Path) -> None:
    for _ in range(3):
        outbox = Outbox(path)
        outbox.put([], [CALM, ALARMED, CALM])
        outbox.close()
    counts = {count.alerting: count.windows for count in Outbox(path).counts()}
    assert counts == {False: 6, True: 3}


def test_withdrawn_consent_drops_what_waits_under_it(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([window(consent_id="a"), window(consent_id="b"), alert()])
    assert outbox.withdraw(["a"]) == 1
    assert sequences(outbox) == [2, 3]
    check(outbox)
    assert outbox.totals().dropped == 1


def fill_disk(outbox: Outbox) -> None:
    """A file that may not grow is what SQLite sees of a full disk."""
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages}")


def free_disk(outbox: Outbox) -> None:
    outbox._db.execute("PRAGMA max_page_count=1000000")


@pytest.mark.promise("R3")
def test_a_full_disk_degrades_counts_and_heals(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([window()], [CALM])
    fill_disk(outbox)
    for _ in range(20):
        outbox.put([window()], [CALM])
        check(outbox)
    assert "full" in outbox.trouble
    lost = outbox.totals().dropped
    assert lost > 0
    assert outbox.counts() == (ScoredCount(1, "P01", "stress", False, 21),), "scored windows are counted all the same"
    free_disk(outbox)
    outbox.put([window()], [CALM])
    assert outbox.trouble == ""
    outbox.close()
    again = Outbox(path)
    check(again)
    assert (again.totals().sent, again.totals().dropped) == (22, lost)
    assert again.counts()[0].windows == 22


def test_acks_get_through_on_a_full_disk(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([window() for _ in range(5)])
    fill_disk(outbox)
    outbox.ack([1, 2, 3])
    assert outbox.totals().spooled == 2
    outbox.put([window()])
    assert outbox.trouble == "", "and make room for new records"
    check(outbox)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + bytes(4096)])
def test_a_damaged_outbox_is_an_error_that_says_what_to_do(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StorageError, match="move it away to start a new one"):
        Outbox(path)


def test_an_outbox_damaged_in_the_middle_is_found_at_the_start(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([window() for _ in range(50)])
    outbox.close()
    data = bytearray(path.read_bytes())
    data[8192:20480] = bytes(12288)
    path.write_bytes(data)
    with pytest.raises(StorageError, match="damaged"):
        Outbox(path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open the outbox"):
        Outbox(tmp_path / "nowhere" / "outbox.sqlite")


actions = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(Stratum)),
        st.tuples(st.just("ack"), st.integers(1, 12)),
        st.tuples(st.just("refuse"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["full", "room", "restart"]), st.none()),
    ),
    max_size=25,
)


@pytest.mark.promise("R1")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_every_record_is_somewhere_in_every_story(
    tmp_path: Path, story: list[tuple[str, Stratum | int | None]]
) -> None:
    path = tmp_path / f"{uuid.uuid4().hex}.sqlite"
    outbox = Outbox(path, quota=4 * RECORD_BYTES)
    puts = 0
    for action, argument in story:
        if action == "put" and isinstance(argument, Stratum):
            outbox.put([window(stratum=argument)])
            puts += 1
        elif action == "ack" and isinstance(argument, int):
            outbox.ack([argument])
        elif action == "refuse" and isinstance(argument, int):
            outbox.refuse(argument, "no")
        elif action == "full":
            fill_disk(outbox)
        elif action == "room":
            free_disk(outbox)
        elif action == "restart" and not outbox.trouble:
            outbox.close()
            outbox = Outbox(path, quota=4 * RECORD_BYTES)
        check(outbox)
        assert outbox.totals().sent == puts
    outbox.close()


WRITER = """
import sys
from pathlib import Path
from edge_agent.outbox import Outbox, Scored
from tests.sentry_proto.records import window
outbox = Outbox(Path(sys.argv[1]))
while True:
    outbox.put([window()], [Scored(0, "P01", "stress", False)])
    print(outbox.totals().sent, flush=True)
    if outbox.totals().spooled > 20:
        outbox.ack([sequence for sequence, _ in outbox.pending((), 5)])
"""


@pytest.mark.promise("R2")
@pytest.mark.slow
@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.soak)])
def test_a_killed_writer_loses_nothing_that_was_spooled(path: Path, kills: int, reached: Reached) -> None:
    reported, unspooled = 0, 0
    for kill in range(kills):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3 + 7 * (kill % 12)):
            reported = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        reported = int(rest[-1]) if rest else reported
        outbox = Outbox(path)
        check(outbox)
        assert reported <= outbox.totals().sent <= reported + 1
        assert outbox.counts()[0].windows == outbox.totals().sent
        unspooled = max(unspooled, outbox.totals().sent - reported)
        outbox.close()
    reached(f"most records stored and not yet told, in {kills} kills", unspooled, "1 record")


def test_the_file_itself_adds_up(path: Path) -> None:
    outbox = Outbox(path)
    outbox.put([window(), alert()])
    outbox.ack([1])
    with sqlite3.connect(path) as other:
        sent, acked, dropped = other.execute("SELECT sent, acked, dropped FROM totals").fetchone()
        spooled = other.execute("SELECT count(*) FROM spool").fetchone()[0]
    other.close()
    assert Counter(sent=sent) == Counter(sent=acked + spooled + dropped)
