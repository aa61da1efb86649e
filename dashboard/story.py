"""The learner's decisions as a story: from abstaining, over each gated candidate, to the version in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.active_learning.review.words import plural

_TONES = {"published": "good", "refused": "bad", "waiting": "warn"}


@dataclass(frozen=True)
class Chapter:
    """One point of the time line: tone of `markup`, headline, what was behind it, Unix seconds."""

    tone: str
    headline: str
    detail: str
    time: float


def story(decisions: Sequence[Mapping[str, Any]], started: float, longest: int = 7) -> list[Chapter]:
    """The latest decisions, newest first; a wait that lasts is told once, and all begins with abstaining."""
    told: list[Chapter] = []
    waited: set[str] = set()
    for decision in decisions:
        if decision["verdict"] == "waiting" and decision["task"] in waited:
            continue
        waited = waited | {decision["task"]} if decision["verdict"] == "waiting" else set()
        told.append(_chapter(decision))
    began = min(started, *(decision["time"] for decision in decisions)) if decisions else started
    beginning = Chapter("quiet", "The heads abstain", "Not calibrated yet: no estimate, no alert.", began)
    return [*told[: longest - 1], beginning]


def _chapter(decision: Mapping[str, Any]) -> Chapter:
    verdict, task = decision["verdict"], decision["task"]
    headline = {
        "published": f"Version {decision['version']} published: {task}",
        "refused": f"Candidate refused: {task}",
        "waiting": f"Waiting: {task}",
    }.get(verdict, f"{str(verdict).capitalize()}: {task}")
    learned = _basis(decision["labels"], decision["people"])
    reason = str(decision["reason"]).removeprefix(f"{task}: ")
    detail = f"{reason[:1].upper()}{reason[1:]}".rstrip(".") + "."
    return Chapter(_TONES.get(verdict, "quiet"), headline, f"{detail} {learned}".strip(), decision["time"])


def _basis(labels: int, people: int) -> str:
    if not labels:
        return ""
    return f"{plural(labels, 'label')} from {'1 person' if people == 1 else f'{people} people'}."
