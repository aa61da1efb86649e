"""What participants are asked, and what their answers become."""

from __future__ import annotations

import pytest

from edge_agent.record_prompts import Interview, Prompts, choice
from sentry_proto.questionnaires import GAD7, PHQ8
from sentry_proto.tasks import FOCUS, STRESS

BEGIN = 1_800_000_000.0


def prompts(every: float = 60.0) -> Prompts:
    return Prompts((STRESS, FOCUS), every, BEGIN, "P07")


# name -> (task, what is typed, the class that it means)
ANSWERS = {
    "a name": (STRESS, "mildly stressed", "mildly stressed"),
    "capitals and blanks": (STRESS, "CALM", "calm"),
    "a number": (STRESS, "3", "stressed"),
    "the last number": (FOCUS, "5", "5"),
    "a number too high": (STRESS, "4", None),
    "no whole number": (FOCUS, "2.5", None),
    "zero": (STRESS, "0", None),
    "part of a name": (STRESS, "mild", None),
    "nothing": (STRESS, "", None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_choice(name: str) -> None:
    task, text, expected = ANSWERS[name]
    assert choice(task, text) == expected


def test_an_answer_holds_for_the_stretch_before_its_prompt() -> None:
    talk = prompts()
    assert talk.tick(BEGIN + 59) == []
    assert not talk.open
    (question,) = talk.tick(BEGIN + 60.2)
    assert "Stress in the last 60 seconds: 1 = calm, 2 = mildly stressed, 3 = stressed" in question
    label, (question,) = talk.answer(" 2 ", BEGIN + 75)
    assert label is not None
    assert (label.start, label.end, label.task, label.value) == (BEGIN, BEGIN + 60, "stress", "mildly stressed")
    assert (label.source, label.rater, label.confidence, label.created) == ("self-report", "P07", 1.0, BEGIN + 75)
    assert "Focus in the last 60 seconds: 1, 2, 3, 4 or 5" in question
    label, words = talk.answer("4", BEGIN + 80)
    assert label is not None
    assert (label.start, label.end, label.value) == (BEGIN, BEGIN + 60, "4")
    assert words == ["Thank you."]
    assert not talk.open
    assert talk.tick(BEGIN + 119) == []
    assert talk.tick(BEGIN + 120) != []


def test_a_wrong_answer_is_asked_again_and_s_skips() -> None:
    talk = prompts()
    talk.tick(BEGIN + 60)
    label, words = talk.answer("very", BEGIN + 61)
    assert label is None
    assert "'very' is no answer. Stress" in words[0]
    assert talk.answer("s", BEGIN + 62)[0] is None
    assert talk.answer("SKIP", BEGIN + 62) == (None, ["Thank you."])
    assert talk.counts == {"asked": 2, "answered": 0, "skipped": 2, "unanswered": 0}


def test_an_unanswered_prompt_is_noted_and_replaced() -> None:
    talk = prompts()
    talk.tick(BEGIN + 60)
    talk.answer("1", BEGIN + 70)
    words = talk.tick(BEGIN + 120)
    assert words[0] == "No answer about focus: noted."
    assert "Stress" in words[1]
    label, _ = talk.answer("3", BEGIN + 130)
    assert label is not None
    assert (label.start, label.end) == (BEGIN + 60, BEGIN + 120)
    assert talk.counts["unanswered"] == 1


def test_after_a_gap_only_the_newest_stretch_is_asked_about() -> None:
    talk = prompts()
    assert len(talk.tick(BEGIN + 250)) == 1
    label, _ = talk.answer("1", BEGIN + 251)
    assert label is not None
    assert (label.start, label.end) == (BEGIN + 180, BEGIN + 240)


@pytest.mark.parametrize(("end", "asked"), [(60, 0), (89, 0), (95, 1), (119, 1)])
def test_the_rest_is_asked_about_if_it_is_long_enough(end: int, asked: int) -> None:
    talk = prompts()
    talk.tick(BEGIN + 60)
    talk.answer("1", BEGIN + 61)
    talk.answer("1", BEGIN + 61)
    assert len(talk.finish(BEGIN + end)) == asked
    if asked:
        label, _ = talk.answer("2", BEGIN + end)
        assert label is not None
        assert (label.start, label.end) == (BEGIN + 60, BEGIN + end)


def test_without_tasks_nothing_is_asked() -> None:
    talk = Prompts((), 60, BEGIN, "P07")
    assert talk.tick(BEGIN + 300) == talk.finish(BEGIN + 400) == []
    assert not talk.open


def test_an_interview_goes_item_by_item() -> None:
    talk = Interview(GAD7)
    assert GAD7.items[0] in talk.introduction()[-1]
    for points in (0, 3, 1, 2, 0, 1):
        talk.answer(str(points))
    assert talk.open
    for wrong in ("4", "-1", "x", "", "1 1", "\u00b2"):
        assert "is no answer" in talk.answer(wrong)[0]
    assert GAD7.items[6] in talk.answer("9")[1]
    assert talk.answer("3") == ["Thank you."]
    assert not talk.open
    assert GAD7.score(talk.answers) == 10


def test_a_questionnaire_can_be_left() -> None:
    talk = Interview(PHQ8)
    talk.answer("1")
    assert "skipped" in talk.answer("s")[0]
    assert not talk.open
    assert talk.skipped
