"""What is asked of a model version before it is said to have been tried."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.heads import Heads
from edge_agent.observer import Observer
from edge_agent.state import State
from edge_agent.watch import Watch, discard
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import FeatureWindow
from tests.edge_agent.bundles import bundle
from tests.edge_agent.test_observer import features
from training.active_learning.selection import Selector

HEADS = Heads(bundle(version=3), DEFAULT_TASKS)


class Account:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def trying(self, version: int) -> None:
        self.told.append(("trying", version))

    def confirm(self, version: int) -> None:
        self.told.append(("confirm", version))


def told_of(window: FeatureWindow, heads: Heads | None = HEADS) -> list[tuple[str, int]]:
    account = Account()
    permit = Permit(ConsentBook(Path(os.devnull)), None, NOT_NEEDED)
    observer = Observer(Selector(np.random.default_rng(0), 0.0, 0.0))
    Watch(observer, State(heads=heads), permit, discard, account).window(window)
    return account.told


def stranger() -> FeatureWindow:
    window = features()
    return dataclasses.replace(window, baseline=dataclasses.replace(window.baseline, seconds=0))


def test_a_version_is_on_trial_from_the_first_window_that_it_is_asked_about_until_it_has_answered() -> None:
    assert told_of(features()) == [("trying", 3), ("confirm", 3)]


@pytest.mark.parametrize(
    ("window", "heads"), [(features(face=0.1), HEADS), (stranger(), HEADS), (features(), None)],
    ids=["nobody was seen", "a person without a past", "no heads"],
)  # fmt: skip
def test_a_window_that_no_heads_look_at_tries_none(window: FeatureWindow, heads: Heads | None) -> None:
    assert told_of(window, heads) == []
