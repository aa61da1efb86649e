from __future__ import annotations

import re
from typing import Any

import pytest

from sentry_proto.errors import InputError
from sentry_proto.questionnaires import GAD7, PHQ8, QUESTIONNAIRES, Questionnaire
from sentry_proto.tasks import DEFAULT_TASKS

BANDS = {
    "phq8": {
        "minimal": (0, 4), "mild": (5, 9), "moderate": (10, 14), "moderately severe": (15, 19), "severe": (20, 24),
    },
    "gad7": {"minimal": (0, 4), "mild": (5, 9), "moderate": (10, 14), "severe": (15, 21)},
}  # fmt: skip

WRONG_ANSWERS: dict[str, tuple[list[Any], str]] = {
    "one too few": ([0] * 6, "has 7 items"),
    "one too many": ([0] * 8, "has 7 items"),
    "above the scale": ([0] * 6 + [4], "from 0 to 3, not '4'"),
    "below the scale": ([-1] + [0] * 6, "not '-1'"),
    "half a point": ([0.5] + [0] * 6, "whole number"),
    "a truth value": ([True] + [0] * 6, "whole number"),
    "text": (["1"] + [0] * 6, "whole number"),
}


def test_phq8_has_eight_items_and_none_about_self_harm() -> None:
    assert len(PHQ8.items) == 8
    assert len(GAD7.items) == 7
    every = " ".join(item for questionnaire in QUESTIONNAIRES.values() for item in questionnaire.items).lower()
    assert not re.search(r"\b(dead|death|die|dying|hurt\w*|harm\w*|suicid\w*|kill\w*)\b", every)


@pytest.mark.parametrize("questionnaire", QUESTIONNAIRES.values(), ids=QUESTIONNAIRES)
def test_every_score_has_the_published_level(questionnaire: Questionnaire) -> None:
    found = {score: questionnaire.level(score) for score in range(questionnaire.highest + 1)}
    expected = {
        score: level for level, (low, high) in BANDS[questionnaire.name].items() for score in range(low, high + 1)
    }
    assert found == expected


@pytest.mark.parametrize("questionnaire", QUESTIONNAIRES.values(), ids=QUESTIONNAIRES)
def test_levels_are_the_classes_of_the_task(questionnaire: Questionnaire) -> None:
    task = next(task for task in DEFAULT_TASKS if task.name == questionnaire.task)
    assert tuple(level for _, level in questionnaire.bands) == task.classes


def test_the_score_is_the_sum_of_the_answers() -> None:
    assert PHQ8.score([0, 1, 2, 3, 0, 1, 2, 3]) == 12
    assert PHQ8.score([3] * 8) == PHQ8.highest == 24
    assert GAD7.score((3,) * 7) == GAD7.highest == 21


@pytest.mark.parametrize(("answers", "words"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_wrong_answers_are_refused_in_words(answers: list[int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        GAD7.score(answers)


@pytest.mark.parametrize("score", [-1, 22])
def test_impossible_scores_have_no_level(score: int) -> None:
    with pytest.raises(InputError, match="from 0 to 21"):
        GAD7.level(score)
