"""From labels of stretches of time to labels of seconds, and from those to labels of windows. Pure.

Rules
    second    a label holds for the seconds whose middle lies in [start, end). Of one rater's overlapping labels of a
              task the one created last counts (of equals the later row). Raters vote, weighted by their confidence:
              the classes with the most votes stay possible, so a tie leaves several.
    prompt    an answer given at t holds for [the previous prompt, or t - 60, t), whichever is later.
    window    the label of its last second, where at least half of the window's seconds have that same label; otherwise
              the window has none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perception.session_rows import SessionLabel
from sentry_proto.errors import InputError
from sentry_proto.tasks import Task

PROMPT_S = 60.0
LEAST_SHARE = 0.5

Allowed = NDArray[np.bool_]
Times = NDArray[np.int64]


def seconds_held(label: SessionLabel, starts: Times) -> Allowed:
    """Which of the seconds that begin at `starts` [S] the label holds for, bool [S]."""
    middles = starts + 0.5
    return (label.start <= middles) & (middles < label.end)


def sift(
    labels: Iterable[SessionLabel], tasks: Iterable[Task], starts: Times, reserved: Collection[str] = ()
) -> tuple[list[SessionLabel], list[str]]:
    """Those labels that say something about one of the seconds, and what is wrong with each of the others.

    Args:
        labels: of one session.
        tasks: whose labels are wanted.
        starts: int64 [S], Unix seconds.
        reserved: names of further tasks, which take any value.
    """
    known = {task.name: task for task in tasks}
    usable, problems = [], []
    for label in labels:
        problem = "" if label.task in reserved else _wrong_word(label, known)
        if not problem and not seconds_held(label, starts).any():
            problem = "outside the recording"
        if problem:
            problems.append(problem)
        else:
            usable.append(label)
    return usable, problems


def _wrong_word(label: SessionLabel, known: Mapping[str, Task]) -> str:
    if label.task not in known:
        return f"task {label.task} is not asked for"
    try:
        known[label.task].allowed(label.value)
    except InputError as error:
        return str(error)
    return ""


def label_seconds(labels: Iterable[SessionLabel], task: Task, starts: Times) -> Allowed:
    """The classes that the labels of a task leave possible in each second.

    Args:
        labels: of any tasks; others than `task` are passed over.
        task: its `allowed` knows each value.
        starts: int64 [S], Unix seconds.

    Returns:
        bool [S, C]; all True where there is no label.

    Raises:
        InputError: the task does not know a value.
    """
    own = sorted((label for label in labels if label.task == task.name), key=lambda label: label.created)
    votes = np.zeros((len(starts), len(task.classes)))
    for rater in dict.fromkeys(label.rater for label in own):
        said = np.zeros_like(votes)
        for label in own:
            if label.rater == rater:
                possible = np.isin(task.classes, list(task.allowed(label.value)))
                said[seconds_held(label, starts)] = possible * label.confidence
        votes += said
    allowed: Allowed = votes == votes.max(1, keepdims=True)
    return allowed


def label_windows(seconds: Allowed, ends: Times, length: int) -> tuple[Allowed, int]:
    """The classes that each window's label leaves possible.

    Args:
        seconds: bool [S, C] of `label_seconds`.
        ends: int64 [N]; a window holds the rows `ends[i] - length` to `ends[i]`, the last one excluded.
        length: seconds in a window.

    Returns:
        bool [N, C], all True without a label; and how many windows have none because their last second's label holds
        for less than half of them.
    """
    if not len(ends):
        return np.ones((0, seconds.shape[1]), np.bool_), 0
    codes = np.unique(seconds, axis=0, return_inverse=True)[1].reshape(-1)
    rows = ends[:, None] - length + np.arange(length)
    unclear = (codes[rows] == codes[ends - 1][:, None]).mean(1) < LEAST_SHARE
    last = seconds[ends - 1]
    labelled = ~last.all(1)
    return last | (unclear | ~labelled)[:, None], int((unclear & labelled).sum())


def prompt_stretches(answered: Sequence[float]) -> list[tuple[float, float]]:
    """What each answer speaks of: [start, end) for prompts answered at these Unix seconds, in ascending order."""
    return [(max(previous, t - PROMPT_S), t) for previous, t in pairwise([-np.inf, *answered])]
