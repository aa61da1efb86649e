from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import select

from sentry_proto.codec import encode_record
from sentry_proto.errors import InputError, LabelFileError
from sentry_proto.types import Label
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import TASKS, hex_id, label, put_labels, put_windows
from trainer_service import labels, schema
from trainer_service.opinions import OpinionFeed
from trainer_service.store import Arrival, Store

HEADER = "window_id,task,value,rater"


@pytest.fixture
def store(store: Store) -> Store:
    """Nine windows, of a person each: window n is of person Pn."""
    put_windows(store, [window(hex_id(n), participant=f"P{n}") for n in range(1, 10)])
    return store


def put_file(store: Store, text: str) -> tuple[int, int, int]:
    with store.write() as connection:
        return labels.put_file(connection, text, TASKS, 5.0)


def stored(store: Store) -> list[tuple[str, str]]:
    with store.read() as connection:
        rows = connection.execute(select(schema.labels.c.window_id, schema.labels.c.value)).all()
    return [(row.window_id, row.value) for row in rows]


def partitions(store: Store) -> dict[str, str]:
    with store.read() as connection:
        rows = connection.execute(select(schema.people.c.participant, schema.people.c.partition))
        return {row.participant: row.partition for row in rows}


def test_a_repeated_submission_is_stored_once_and_changes_nothing(store: Store) -> None:
    assert put_labels(store, label(1, hex_id(1)), label(1, hex_id(1))) == [True, False]
    for other in (label(1, hex_id(1), "stressed"), label(1, hex_id(2)), label(1, hex_id(1), rater="bob")):
        with pytest.raises(InputError, match="is known and says something else"):
            put_labels(store, other)
    assert stored(store) == [(hex_id(1), "calm")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "joy"}, "task 'joy' is not configured; known are stress"),
        ({"value": "bored"}, "knows no value 'bored'; it takes calm"),
        ({"task": "anxiety", "value": "true alarm"}, "knows no value 'true alarm'"),
        ({"source": "rumour"}, "source must be one of observer"),
        ({"rater": ""}, "rater must be 1 to 200"),
        ({"rater": "a\nb"}, "rater must be 1 to 200"),
        ({"rater": "a" * 201}, "rater must be 1 to 200"),
        ({"label_id": ""}, "label_id must be 1 to 200"),
        ({"confidence": 1.5}, "confidence must be between 0 and 1"),
        ({"confidence": float("nan")}, "confidence must be between 0 and 1"),
        ({"created": float("inf")}, "created must be a time"),
        ({"window_id": hex_id(99)}, "there is no window"),
    ],
)
def test_what_is_wrong_with_a_label_is_said(store: Store, changes: dict[str, object], words: str) -> None:
    fields = {**vars(label(1, hex_id(1))), **changes}
    with pytest.raises(InputError, match=words):
        put_labels(store, Label(**fields))
    assert stored(store) == []


def test_the_holdout_is_frozen_in_the_order_of_first_labels(store: Store) -> None:
    order = [4, 9, 1, 1, 7, 3, 9, 2, 8]
    put_labels(store, *(label(n, hex_id(person)) for n, person in enumerate(order)))
    expected = {"P4": "train", "P9": "holdout", "P1": "train", "P7": "train", "P3": "holdout", "P2": "train"}
    assert partitions(store) == {**expected, "P8": "train"}
    with store.write() as connection:
        assert labels.withdraw(connection, hex_id(0), 6.0)
    put_labels(store, label(100, hex_id(5)))
    assert partitions(store) == {**expected, "P8": "train", "P5": "holdout"}


def test_a_label_is_withdrawn_once(store: Store) -> None:
    put_labels(store, label(1, hex_id(1)))
    with store.write() as connection:
        assert [labels.withdraw(connection, hex_id(n), 6.0) for n in (1, 1, 2)] == [True, False, False]
        assert OpinionFeed("stress").read(connection) == []


def test_the_newest_of_each_rater_counts_and_raters_share_the_weight(store: Store) -> None:
    put_labels(
        store,
        label(1, hex_id(1), "stressed", rater="ann"),
        label(2, hex_id(1), "calm", rater="bob", confidence=0.5),
        label(3, hex_id(1), "mildly stressed", rater="ann"),
        label(4, hex_id(2), "true alarm", rater="ann"),
        label(5, hex_id(2), "1", task="focus"),
    )
    with store.read() as connection:
        held = OpinionFeed("stress").read(connection)
    assert sorted((o.window_id, o.value, o.weight, o.partition) for o in held) == [
        (hex_id(1), "calm", 0.25, "train"),
        (hex_id(1), "mildly stressed", 0.5, "train"),
        (hex_id(2), "true alarm", 1.0, "holdout"),
    ]


def test_a_file_is_imported_once(store: Store) -> None:
    text = f"\ufeff{HEADER},confidence\r\n{hex_id(1)},stress,calm,ann,0.5\r\n{hex_id(2)},focus,5,ann,\r\n"
    assert put_file(store, text) == (2, 0, 0)
    assert put_file(store, text + f"{hex_id(3)},stress,calm,ann,\n") == (1, 2, 0)
    assert stored(store) == [(hex_id(1), "calm"), (hex_id(2), "5"), (hex_id(3), "calm")]


GOOD = f"{hex_id(1)},stress,calm,ann"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "row 1: the header must name"),
        ("window_id,task,value\n", "row 1: .* missing: rater"),
        (f"{HEADER},colour\n", "row 1: unknown or repeated columns: colour"),
        (f"{HEADER},rater\n", "row 1: unknown or repeated"),
        (f"{HEADER}\n{GOOD}\n{hex_id(99)},stress,calm,ann\n", "row 3: there is no window"),
        (f"{HEADER}\n{GOOD}\n{hex_id(2)},joy,calm,ann\n", "row 3: task 'joy' is not configured"),
        (f"{HEADER}\n{GOOD}\n{hex_id(2)},stress,bored,ann\n", "row 3: task stress knows no value 'bored'"),
        (f"{HEADER}\n{GOOD}\n{GOOD},more\n", "row 3: it must have 4 fields"),
        (f"{HEADER}\n\n{GOOD}\n\n{GOOD},more\n", "row 5: it must have 4 fields"),
        (f"{HEADER}\n{GOOD}\n{hex_id(2)},stress\n", "row 3: it must have 4 fields"),
        (f"{HEADER},confidence\n{GOOD},sure\n", "row 2: confidence 'sure' is no number"),
        (f"{HEADER},confidence\n{GOOD},7\n", "row 2: confidence must be between"),
        (f'{HEADER}\n{GOOD}\n"{hex_id(2)},stress', "row 3: "),
    ],
)
def test_a_bad_row_refuses_the_file_by_its_number(store: Store, text: str, words: str) -> None:
    with pytest.raises(LabelFileError, match=words):
        put_file(store, text)
    assert stored(store) == []
    assert partitions(store) == {}


def test_a_label_on_a_window_from_before_the_baseline_teaches_nothing(store: Store) -> None:
    plain = window(hex_id(77), participant="P07")
    baseline = dataclasses.replace(plain.features.baseline, seconds=0)
    young = dataclasses.replace(plain, features=dataclasses.replace(plain.features, baseline=baseline))
    store.ingest([Arrival("lab-1", "f" * 32, 1, young, encode_record(young))], 0.0)
    put_labels(store, label(1, hex_id(77)), label(2, hex_id(1)))
    with store.read() as connection:
        assert [opinion.window_id for opinion in OpinionFeed("stress").read(connection)] == [hex_id(1)]


def test_what_came_what_was_corrected_and_what_was_withdrawn_is_news(store: Store) -> None:
    put_labels(store, label(1, hex_id(1)), label(2, hex_id(2)), label(3, hex_id(3), "1", task="focus"))
    with store.read() as connection:
        first = labels.news(connection, "stress", 0, 0.0)
        assert first == labels.News(2, 2)
        assert labels.news(connection, "stress", first.newest, 10.0) == labels.News(0, 2)
    put_labels(store, label(4, hex_id(1), "stressed"), label(5, hex_id(4)))
    with store.write() as connection:
        labels.withdraw(connection, hex_id(2), 11.0)
        labels.withdraw(connection, hex_id(5), 11.0)
    with store.read() as connection:
        assert labels.news(connection, "stress", 2, 10.0) == labels.News(2, 4), "a correction and a withdrawal"
        assert labels.news(connection, "stress", 4, 12.0) == labels.News(0, 4), "both are known now"


def test_every_wrong_row_is_named_and_nothing_is_stored(store: Store) -> None:
    rows = [f"{hex_id(n)},stress,{value},ann" for n, value in [(1, "calm"), (2, "bored"), (99, "calm"), (3, "")]]
    with pytest.raises(LabelFileError, match=r"^row 3: .*'bored'.*; row 4: there is no window"):
        put_file(store, "\n".join([HEADER, *rows]))
    assert stored(store) == []


def test_a_spreadsheet_may_capitalise_and_leave_rows_unanswered(store: Store) -> None:
    text = "\n".join(
        [HEADER, f"{hex_id(1)},stress,Mildly Stressed,ann", f"{hex_id(2)},stress,,", f"{hex_id(3)},focus,5,"]
    )
    with store.write() as connection:
        assert labels.put_file(connection, text, TASKS, 5.0, rater="bob") == (2, 0, 1)
    assert stored(store) == [(hex_id(1), "mildly stressed"), (hex_id(3), "5")]
