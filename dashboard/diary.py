"""What the self-report page remembers between clicks, without Streamlit: an answer waits here until it is stored.

click --> waiting --deliver--> stored
             | trainer away: it waits, and is sent again with its own id and time, so that it is stored once
             | trainer refuses: it is dropped, and the page says why

Closing the browser loses what still waits, and drafts; nothing else is kept here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sentry_proto.errors import PeerUnreachable, SentryError
from sentry_proto.questionnaires import QUESTIONNAIRES, Questionnaire
from sentry_proto.tasks import Task, tasks_from_json

REMIND_S = 60.0
"""An answer about the last minute is due so long after the one before."""

SAME_ROUND_S = 30.0
"""Answers to several questions belong together if they are given within this time."""

DOUBLE_CLICK_S = 1.0
"""The same answer again within this time is the second half of a double click."""

SITTING_S = 6 * 3600.0
"""What was reported longer ago belongs to another sitting."""

DAY_S = 86_400.0

SENTENCE = "sentence"
"""The question that is answered in one's own words."""

Ask = Callable[..., Any]


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        question: the task or the questionnaire that was answered.
        said: the parameters of `self_report` that say so.
        created: Unix seconds of the click.
    """

    report_id: str
    question: str
    said: Mapping[str, Any]
    created: float


@dataclass(frozen=True)
class Turn:
    """When a form comes again: `every_days` after the last time, next at `due` (Unix seconds)."""

    due: float
    every_days: float


@dataclass(frozen=True)
class Notice:
    """A tone of `style.css` and what to tell the participant."""

    tone: str
    first: str
    second: str = ""


@dataclass
class Diary:
    """One participant's sitting; lives in the browser session.

    Attributes:
        minutes: the tasks that are asked for every minute.
        questionnaires: those that the study asks.
        turns: per questionnaire when it is due.
        drafts: per questionnaire the answers so far, by item.
        stored: per question when the newest answer of this sitting that the trainer holds was given.
        results: what the newest questionnaires came to, by name; empty where the study does not show it.
    """

    participant: str
    minutes: tuple[Task, ...]
    questionnaires: tuple[Questionnaire, ...]
    turns: dict[str, Turn]
    stored: dict[str, float]
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    drafts: dict[str, dict[int, int]] = field(default_factory=dict)
    waiting: list[Reply] = field(default_factory=list)
    refused: str = ""
    _newest: dict[str, Reply] = field(default_factory=dict)

    @staticmethod
    def begin(sheet: Mapping[str, Any], now: float) -> Diary:
        """A diary that knows when this sitting's earlier answers were given, from the trainer's `answer_sheet`."""
        tasks = tasks_from_json(sheet["tasks"])
        turns = {form["instrument"]: Turn(form["due"], form["every_days"]) for form in sheet["forms"]}
        asked = tuple(q for q in QUESTIONNAIRES.values() if q.name in turns)
        scored = {q.task for q in QUESTIONNAIRES.values()}
        minutes = tuple(task for task in tasks if task.name not in scored)
        stored = {question: last for question, last in sheet["last"].items() if last > now - SITTING_S}
        return Diary(sheet["participant"], minutes, asked, turns, stored, dict(sheet["results"] or {}))

    def is_due(self, questionnaire: str, now: float) -> bool:
        """Whether the time for this form has come."""
        return self.turns[questionnaire].due <= now

    def say(self, words: str, now: float) -> None:
        """Take down a sentence."""
        if words.strip():
            self._take(SENTENCE, {"words": words.strip()}, now)

    def answer(self, task: str, value: str, now: float) -> None:
        """Take down a click on a class."""
        self._take(task, {"task": task, "value": value}, now)

    def hand_in(self, questionnaire: Questionnaire, now: float) -> None:
        """Take down a draft that is complete."""
        draft = self.drafts[questionnaire.name]
        answers = [draft[item] for item in range(len(questionnaire.items))]
        self._take(questionnaire.name, {"instrument": questionnaire.name, "answers": answers}, now)

    def again(self, questionnaire: str) -> None:
        """Show an empty form once more, or before its time."""
        self.stored.pop(questionnaire, None)
        self.drafts.setdefault(questionnaire, {})

    def deliver(self, ask: Ask) -> bool:
        """Send what waits, oldest first; whether anything has left the queue."""
        before = len(self.waiting)
        while self.waiting:
            reply = self.waiting[0]
            try:
                done = ask(
                    "self_report",
                    report_id=reply.report_id,
                    participant=self.participant,
                    created=reply.created,
                    **reply.said,
                )
            except PeerUnreachable:
                break
            except SentryError as error:
                self.refused = str(error)
            else:
                self._settle(reply, done.get("result"))
            self.waiting.pop(0)
        return len(self.waiting) < before

    def _settle(self, reply: Reply, result: Mapping[str, Any] | None) -> None:
        self.stored[reply.question] = reply.created
        self.drafts.pop(reply.question, None)
        if result:
            self.results[reply.question] = result
        if turn := self.turns.get(reply.question):
            self.turns[reply.question] = replace(turn, due=reply.created + turn.every_days * DAY_S)

    def waits(self, question: str) -> bool:
        """Whether an answer to this question is not stored yet."""
        return any(reply.question == question for reply in self.waiting)

    def trouble(self) -> Notice | None:
        """What stands in the way of storing, if anything."""
        if self.waiting:
            words = "The trainer does not answer. This page keeps trying by itself; please leave it open."
            return Notice("warn", "Not stored yet.", words)
        return Notice("bad", "Not stored.", f"The trainer refused: {self.refused}.") if self.refused else None

    def minute_notice(self, now: float) -> Notice:
        """What to say above the questions about the last minute."""
        names = [task.name for task in self.minutes]
        given = {name: self.stored[name] for name in names if name in self.stored}
        still_open = [name for name in names if now - given.get(name, 0.0) >= REMIND_S]
        if not given:
            return Notice("now", "Please answer once now.", "After a minute this line asks you again.")
        if not still_open:
            return Notice("good", "Stored.", "After a minute this line asks you again.")
        if now - max(given.values()) < SAME_ROUND_S:
            return Notice("good", "Stored.", f"Still open: {_listed(still_open)}.")
        return Notice("now", "It is time for the next answer.")

    def _take(self, question: str, said: Mapping[str, Any], now: float) -> None:
        last = self._newest.get(question)
        if last and last.said == said and now - last.created < DOUBLE_CLICK_S:
            return
        reply = self._newest[question] = Reply(uuid.uuid4().hex, question, said, now)
        self.waiting.append(reply)
        self.refused = ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
