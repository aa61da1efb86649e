"""What a participant is asked while a session is recorded. Pure: times and lines come in, labels and words go out.

prompt    every `every` seconds of the session, about the stretch since the prompt before
open      until all its questions are answered or skipped; an open one makes way for the next, and counts as
          unanswered
answer    a class of the task by its name, or by its number counted from 1; `s` skips; anything else gets a hint and
          the question stays
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from perception.session_rows import SessionLabel
from sentry_proto.questionnaires import Questionnaire
from sentry_proto.tasks import Task

SKIP = ("s", "skip")

SHORTEST_REST = 0.5
"""The end of a session is asked about if it is at least this share of the time between two prompts."""


class Prompts:
    """Asks about each task again and again.

    Args:
        tasks: to be asked about; without any nothing is asked.
        every: seconds of the session between two prompts.
        begin: Unix seconds at which the session began.
        rater: who answers.

    Attributes:
        counts: questions `asked`, `answered`, `skipped` and `unanswered`.
    """

    def __init__(self, tasks: Sequence[Task], every: float, begin: float, rater: str) -> None:
        self._tasks, self._every, self._rater = tasks, every, rater
        self._stretch = (begin, begin)
        self._open: deque[Task] = deque()
        self.counts = Counter(dict.fromkeys(("asked", "answered", "skipped", "unanswered"), 0))

    @property
    def open(self) -> bool:
        """Whether a question waits for its answer."""
        return bool(self._open)

    def tick(self, now: float) -> list[str]:
        """The session has come to `now`; returns what to say. After a gap only the newest stretch is asked about."""
        passed = int((now - self._stretch[1]) // self._every)
        if passed < 1:
            return []
        end = self._stretch[1] + passed * self._every
        return self._ask(end - self._every, end)

    def finish(self, end: float) -> list[str]:
        """The session is over; returns what to say about the rest of it."""
        if end - self._stretch[1] < SHORTEST_REST * self._every:
            return []
        return self._ask(self._stretch[1], end)

    def _ask(self, start: float, end: float) -> list[str]:
        self._stretch = (start, end)
        if not self._tasks:
            return []
        words = self.give_up()
        self._open.extend(self._tasks)
        self.counts["asked"] += len(self._open)
        return [*words, self._question()]

    def give_up(self) -> list[str]:
        """Stop waiting for answers; returns what to say."""
        if not self._open:
            return []
        names = " and ".join(task.name for task in self._open)
        self.counts["unanswered"] += len(self._open)
        self._open.clear()
        return [f"No answer about {names}: noted."]

    def answer(self, line: str, now: float) -> tuple[SessionLabel | None, list[str]]:
        """A line was typed at `now` while a question was open; returns its label, if it is one, and what to say."""
        task, text = self._open[0], line.strip()
        value = choice(task, text)
        if value is None and text.lower() not in SKIP:
            return None, [f"{text!r} is no answer. {self._question()}"]
        self._open.popleft()
        self.counts["skipped" if value is None else "answered"] += 1
        words = [self._question() if self._open else "Thank you."]
        if value is None:
            return None, words
        return SessionLabel(*self._stretch, task.name, value, "self-report", self._rater, 1.0, now), words

    def _question(self) -> str:
        task, (start, end) = self._open[0], self._stretch
        return f"{task.name.capitalize()} in the last {end - start:.0f} seconds: {options(task)} (s to skip)?"


def choice(task: Task, text: str) -> str | None:
    """The class that an answer means; None if it means none."""
    named = {name.lower(): name for name in task.classes}
    numbered = {str(number): name for number, name in enumerate(task.classes, 1)}
    return named.get(text.lower()) or (None if set(named) & set(numbered) else numbered.get(text))


def options(task: Task) -> str:
    """The answers that a task takes."""
    if all(name.isdecimal() for name in task.classes):
        return f"{', '.join(task.classes[:-1])} or {task.classes[-1]}, {task.classes[0]} is lowest"
    return ", ".join(f"{number} = {name}" for number, name in enumerate(task.classes, 1))


class Interview:
    """Goes through one questionnaire.

    Attributes:
        answers: so far, one number per item.
        skipped: whether the participant wants no more of it.
    """

    def __init__(self, questionnaire: Questionnaire) -> None:
        self._questionnaire = questionnaire
        self.answers: list[int] = []
        self.skipped = False

    @property
    def open(self) -> bool:
        """Whether an item waits for its answer."""
        return not self.skipped and len(self.answers) < len(self._questionnaire.items)

    def introduction(self) -> list[str]:
        """What to say first."""
        form = self._questionnaire
        scale = ", ".join(f"{points} = {words}" for points, words in enumerate(form.answers))
        return [f"{form.title}. {form.instruction}", f"  {scale}; s skips all of {form.title}.", self._item()]

    def answer(self, line: str) -> list[str]:
        """A line was typed; returns what to say."""
        text, top = line.strip(), len(self._questionnaire.answers) - 1
        if text.lower() in SKIP:
            self.skipped = True
            return [f"{self._questionnaire.title} is skipped."]
        if text not in [str(points) for points in range(top + 1)]:
            return [f"{text!r} is no answer: 0 to {top}, or s to skip.", self._item()]
        self.answers.append(int(text))
        return [self._item()] if self.open else ["Thank you."]

    def _item(self) -> str:
        items, number = self._questionnaire.items, len(self.answers)
        return f"  {number + 1}/{len(items)} {items[number]}"
