"""The Review page: the trainer's queue on the review page that a file has, too (`training.active_learning.review`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import streamlit as st

from dashboard.cli import ESTIMATES_VARIABLE
from dashboard.connection import ask, live
from dashboard.verdicts import UNSURE
from dashboard.who import rater_name
from sentry_proto.tasks import Task, tasks_from_json
from sentry_proto.types import Label
from training.active_learning.review.desk import Click, Desk, Waiting
from training.active_learning.review.page import review
from training.active_learning.sheets import Sheet, sheet_of

QUEUE = 50
WAITING_S = 3.0
"""How often an empty queue, or a trainer that was away, is asked again."""

IDLE, DRAWN = "review idle", "review drawn"


class TrainerTray:
    """The trainer's review queue, by its control API."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = {task.name: task for task in tasks}

    def tasks(self) -> Sequence[str]:
        """All that are configured."""
        return list(self._tasks)

    def waiting(self, task: str, rater: str, since: float = 0.0) -> Waiting:
        """The first `QUEUE` of the trainer's queue, and how far this rater has come."""
        queue = ask("queue", task=task, rater=rater, limit=QUEUE)
        done = ask("progress", task=task, rater=rater, since=since)
        return Waiting(tuple(window["window_id"] for window in queue), done["left"], done["given"])

    def sheet(self, task: str, window_id: str) -> Sheet:
        """One window with its curves and what the model says."""
        return sheet_of(ask("window", window_id=window_id), self._tasks[task], list(self._tasks.values()))

    def put(self, label: Label) -> bool:
        """Store a label in the trainer."""
        return bool(ask("label", **vars(label))["fresh"])

    def withdraw(self, label_id: str) -> bool:
        """Take a label back from the trainer."""
        return bool(ask("withdraw", label_id=label_id)["withdrawn"])

    def pass_over(self, click: Click, pass_id: str) -> None:
        """Store in the trainer that this rater cannot tell, and why."""
        about = {"window_id": click.window_id, "task": click.task, "rater": click.rater}
        ask("remark", remark_id=pass_id, kind=UNSURE, words=click.value, **about)

    def take_up_again(self, pass_id: str) -> bool:
        """Take that back."""
        return bool(ask("withdraw_remark", remark_id=pass_id)["withdrawn"])


def page() -> None:
    """Draw the page."""
    desk = st.session_state.setdefault("desk", Desk())
    live(partial(_review, desk), None)
    st.session_state[DRAWN] = True
    live(_look_again, WAITING_S)


def _review(desk: Desk) -> None:
    st.session_state[IDLE] = True  # until it has something to show
    tray = TrainerTray(tasks_from_json(ask("status")["tasks"]))
    blind = ESTIMATES_VARIABLE not in os.environ
    shown = review(tray, desk, "New windows appear here by themselves as agents send them.", rater_name(), blind)
    st.session_state[IDLE] = not shown


def _look_again() -> None:
    """Draw a page anew that has nothing to show; never one under a rater's hand."""
    drawn_now = st.session_state.pop(DRAWN, False)
    if st.session_state[IDLE] and not drawn_now:
        st.rerun()
