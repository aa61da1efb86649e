"""The rules by which labels of stretches become labels of seconds and of windows, one table each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception.session_rows import SessionLabel
from sentry_proto.errors import InputError
from sentry_proto.tasks import STRESS, TRUE_ALARM
from tests.training.session_trees import BEGIN, label
from training.datasets.session_labels import label_seconds, label_windows, prompt_stretches, sift

STARTS = np.arange(BEGIN, BEGIN + 6)
WORDS = {
    "c": {"calm"},
    "m": {"mildly stressed"},
    "s": {"stressed"},
    "-": set(STRESS.classes),
    "cs": {"calm", "stressed"},
}

SECONDS: dict[str, tuple[list[SessionLabel], list[str]]] = {
    "nothing said": ([], ["-"] * 6),
    "from start on and before end": ([label(1, 4, "calm")], ["-", "c", "c", "c", "-", "-"]),
    "the middle of a second decides": ([label(0.5, 2.5, "calm")], ["c", "c", "-", "-", "-", "-"]),
    "the label created last counts, in any order of rows": (
        [label(0, 4, "calm", created=9.0), label(2, 6, "stressed", created=8.0)],
        ["c", "c", "c", "c", "s", "s"],
    ),
    "of equally old ones the later row counts": (
        [label(0, 6, "calm", created=9.0), label(4, 6, "stressed", created=9.0)],
        ["c", "c", "c", "c", "s", "s"],
    ),
    "raters who disagree leave both": (
        [label(0, 4, "calm", rater="A"), label(2, 6, "stressed", rater="B")],
        ["c", "c", "cs", "cs", "s", "s"],
    ),
    "the surer rater wins": (
        [replace(label(0, 6, "calm", rater="A"), confidence=0.4), label(2, 4, "stressed", rater="B")],
        ["c", "c", "s", "s", "c", "c"],
    ),
    "most raters win": (
        [label(0, 6, word, rater=rater) for rater, word in (("A", "calm"), ("B", "stressed"), ("C", "calm"))],
        ["c"] * 6,
    ),
    "a label without confidence says nothing": ([replace(label(0, 6, "calm"), confidence=0.0)], ["-"] * 6),
    "a verdict": ([label(0, 6, TRUE_ALARM)], ["s"] * 6),
    "another task": ([label(0, 6, "4", "focus")], ["-"] * 6),
}


@pytest.mark.parametrize("case", SECONDS)
def test_labels_of_seconds(case: str) -> None:
    labels, expected = SECONDS[case]
    allowed = label_seconds(labels, STRESS, STARTS)
    assert [{name for name, may in zip(STRESS.classes, row, strict=True) if may} for row in allowed] == [
        WORDS[word] for word in expected
    ]


WINDOWS = {
    "all of it": ("ssss", "s", 0),
    "half of it": ("ccss", "s", 0),
    "less than half": ("cccs", "-", 1),
    "half of it, parted": ("sccs", "s", 0),
    "none at the end": ("sss-", "-", 0),
    "none before": ("---s", "-", 1),
    "nothing at all": ("----", "-", 0),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_labels_of_windows(case: str) -> None:
    word, expected, unclear = WINDOWS[case]
    seconds = np.array([[name in WORDS[letter] for name in STRESS.classes] for letter in word])
    windows, count = label_windows(seconds, np.array([4]), 4)
    assert {name for name, may in zip(STRESS.classes, windows[0], strict=True) if may} == WORDS[expected]
    assert count == unclear


def test_no_windows_have_no_labels() -> None:
    windows, count = label_windows(np.ones((2, 3), bool), np.zeros(0, np.int64), 30)
    assert (windows.shape, count) == ((0, 3), 0)


def test_an_answer_speaks_of_the_time_since_the_last_prompt_but_of_no_more_than_a_minute() -> None:
    assert prompt_stretches([100.0, 130.0, 400.0]) == [(40.0, 100.0), (100.0, 130.0), (340.0, 400.0)]
    assert prompt_stretches([]) == []


def test_what_cannot_be_used_is_named_and_the_rest_kept() -> None:
    good, block = label(0, 6, "calm"), label(0, 3, "anything", "block")
    bad = [label(0, 6, "tense"), label(0, 6, "4", "focus"), label(6, 9, "calm")]
    usable, problems = sift([good, block, *bad], [STRESS], STARTS, {"block"})
    assert usable == [good, block]
    assert [problem.split(";")[0] for problem in problems] == [
        "task stress knows no value 'tense'",
        "task focus is not asked for",
        "outside the recording",
    ]


def test_an_unknown_word_is_an_error_where_nobody_sifted() -> None:
    with pytest.raises(InputError, match="tense"):
        label_seconds([label(0, 6, "tense")], STRESS, STARTS)
