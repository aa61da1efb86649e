from __future__ import annotations

from typing import Any

import pytest

from dashboard.diary import DAY_S, Diary
from sentry_proto.errors import InputError, PeerUnreachable, SentryError
from sentry_proto.questionnaires import GAD7, PHQ8
from sentry_proto.tasks import DEFAULT_TASKS, STRESS, Task, tasks_to_json

NOW = 1_750_000_000.0


class Trainer:
    """What the trainer has stored; `fault` is raised instead while it is set."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.fault: SentryError | None = None
        self.result: dict[str, Any] | None = None

    def ask(self, method: str, report_id: str, **said: Any) -> dict[str, Any]:
        assert method == "self_report"
        if self.fault:
            raise self.fault
        self.stored.setdefault(report_id, said)
        return {"stored": True, "fresh": True, "result": self.result}


@pytest.fixture
def trainer() -> Trainer:
    return Trainer()


@pytest.fixture
def diary() -> Diary:
    return begun()


def begun(tasks: tuple[Task, ...] = DEFAULT_TASKS, last: dict[str, float] | None = None, **changes: Any) -> Diary:
    """A sitting of P07, who came now and is asked both forms every two weeks."""
    forms = [{"instrument": q.name, "due": NOW, "every_days": 14.0} for q in (PHQ8, GAD7)]
    sheet = {"participant": "P07", "tasks": tasks_to_json(tasks), "last": last or {}, "forms": forms, "results": None}
    return Diary.begin({**sheet, **changes}, NOW)


def answered(diary: Diary, trainer: Trainer, *given: tuple[str, str, float]) -> None:
    for task, value, seconds in given:
        diary.answer(task, value, NOW + seconds)
        diary.deliver(trainer.ask)


def test_minutes_are_the_tasks_that_no_questionnaire_asks_for(diary: Diary) -> None:
    assert [task.name for task in diary.minutes] == ["stress", "focus"]
    assert [q.name for q in diary.questionnaires] == ["phq8", "gad7"]
    fatigue = Task("fatigue", "binary", ("fresh", "tired"))
    only = begun((STRESS, fatigue), forms=[])
    assert ([task.name for task in only.minutes], only.questionnaires) == (["stress", "fatigue"], ())


def test_an_answer_is_sent_with_who_what_and_when(diary: Diary, trainer: Trainer) -> None:
    answered(diary, trainer, ("stress", "calm", 1))
    assert list(trainer.stored.values()) == [
        {"participant": "P07", "created": NOW + 1, "task": "stress", "value": "calm"}
    ]
    assert diary.stored == {"stress": NOW + 1}


def test_a_double_click_is_one_answer_and_a_correction_is_another(diary: Diary, trainer: Trainer) -> None:
    answered(diary, trainer, ("stress", "calm", 0), ("stress", "calm", 0.3), ("stress", "stressed", 0.8))
    assert [said["value"] for said in trainer.stored.values()] == ["calm", "stressed"]


def test_what_could_not_be_sent_waits_with_its_id_and_time(diary: Diary, trainer: Trainer) -> None:
    trainer.fault = PeerUnreachable("nobody answers")
    answered(diary, trainer, ("stress", "calm", 0), ("focus", "4", 5))
    ids = [reply.report_id for reply in diary.waiting]
    assert diary.stored == {}
    said = diary.trouble()
    assert said is not None
    assert said.first == "Not stored yet."
    assert not diary.deliver(trainer.ask)
    trainer.fault = None
    assert diary.deliver(trainer.ask)
    assert list(trainer.stored) == ids
    assert [said["created"] for said in trainer.stored.values()] == [NOW, NOW + 5]
    assert diary.trouble() is None


def test_a_refused_answer_is_dropped_and_the_page_says_why(diary: Diary, trainer: Trainer) -> None:
    trainer.fault = InputError("task focus is not configured")
    answered(diary, trainer, ("focus", "4", 0))
    assert diary.waiting == []
    said = diary.trouble()
    assert said is not None
    assert "task focus is not configured" in said.second
    trainer.fault = None
    answered(diary, trainer, ("stress", "calm", 5))
    assert diary.trouble() is None


@pytest.mark.parametrize(
    ("given", "at", "first", "second"),
    [
        ([], 0, "Please answer once now.", "After a minute"),
        ([("stress", 0)], 1, "Stored.", "Still open: focus."),
        ([("stress", 0), ("focus", 4)], 5, "Stored.", "After a minute"),
        ([("stress", 0), ("focus", 4)], 59, "Stored.", "After a minute"),
        ([("stress", 0), ("focus", 4)], 60, "It is time for the next answer.", ""),
        ([("stress", 0), ("focus", 4)], 900, "It is time for the next answer.", ""),
        ([("stress", 0), ("focus", 4), ("focus", 70)], 72, "Stored.", "Still open: stress."),
        ([("stress", 0)], 40, "It is time for the next answer.", ""),
    ],
)
def test_the_reminder_comes_a_minute_after_the_last_answer(
    diary: Diary, trainer: Trainer, given: list[tuple[str, float]], at: float, first: str, second: str
) -> None:
    answered(diary, trainer, *((task, {"stress": "calm", "focus": "3"}[task], seconds) for task, seconds in given))
    notice = diary.minute_notice(NOW + at)
    assert notice.first == first
    assert notice.second.startswith(second)


def test_a_questionnaire_is_handed_in_whole_and_its_draft_kept_until_stored(diary: Diary, trainer: Trainer) -> None:
    diary.drafts["gad7"] = {item: item % 4 for item in reversed(range(7))}
    trainer.fault = PeerUnreachable("nobody answers")
    diary.hand_in(GAD7, NOW)
    diary.deliver(trainer.ask)
    assert diary.waits("gad7")
    assert len(diary.drafts["gad7"]) == 7
    trainer.fault = None
    diary.deliver(trainer.ask)
    assert [said["answers"] for said in trainer.stored.values()] == [[0, 1, 2, 3, 0, 1, 2]]
    assert (diary.drafts, diary.stored) == ({}, {"gad7": NOW})


def test_a_form_is_due_again_so_many_days_after_it_was_stored(diary: Diary, trainer: Trainer) -> None:
    assert diary.is_due("gad7", NOW)
    diary.drafts["gad7"] = dict.fromkeys(range(7), 0)
    diary.hand_in(GAD7, NOW + 60)
    assert diary.is_due("gad7", NOW + 61), "it is not stored yet"
    diary.deliver(trainer.ask)
    assert not diary.is_due("gad7", NOW + 59 + 14 * DAY_S)
    assert diary.is_due("gad7", NOW + 61 + 14 * DAY_S)
    assert diary.is_due("phq8", NOW + 61)


def test_a_sentence_is_sent_without_the_blanks_around_it_and_an_empty_one_is_none(
    diary: Diary, trainer: Trainer
) -> None:
    diary.say("  ", NOW)
    diary.say(" I slept badly. ", NOW)
    diary.deliver(trainer.ask)
    assert [said["words"] for said in trainer.stored.values()] == ["I slept badly."]
    assert diary.stored == {"sentence": NOW}


def test_a_result_is_known_only_where_the_trainer_gives_one(diary: Diary, trainer: Trainer) -> None:
    diary.drafts["gad7"] = dict.fromkeys(range(7), 3)
    diary.hand_in(GAD7, NOW)
    diary.deliver(trainer.ask)
    assert diary.results == {}
    trainer.result = {"score": 21, "level": "severe"}
    diary.drafts["gad7"] = dict.fromkeys(range(7), 3)
    diary.hand_in(GAD7, NOW + 60)
    diary.deliver(trainer.ask)
    assert diary.results == {"gad7": {"score": 21, "level": "severe"}}


def test_a_reloaded_page_knows_this_sittings_answers_only() -> None:
    last = {"stress": NOW - 20, PHQ8.name: NOW - 600, GAD7.name: NOW - 86_400}
    assert begun(last=last).stored == {"stress": NOW - 20, "phq8": NOW - 600}
