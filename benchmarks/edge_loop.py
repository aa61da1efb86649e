"""The agent's loop as `benchmarks.edge` drives it: with a model, without a trainer, and with a clock at every stage."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edge_agent.capture import Capture
from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.heads import Heads
from edge_agent.loop import Loop
from edge_agent.observer import Observer
from edge_agent.sources import Source
from edge_agent.state import State
from edge_agent.watch import NoTrial, Watch, discard
from perception.chain import Image, Perception
from perception.pipeline import FeaturePipeline, Step
from perception.schedule import Schedule
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import FeatureWindow
from tests.edge_agent.bundles import bundle
from training.active_learning.selection import Selector


class Costs(NoTrial):
    """Seconds of processor time by stage, and how many windows the heads have scored."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self.scored = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        begin = time.process_time()
        try:
            yield
        finally:
            self.spent_s[name] += time.process_time() - begin

    def confirm(self, version: int) -> None:
        """A window was scored."""
        self.scored += 1


class TimedPipeline(FeaturePipeline):
    """Splits its time into what the chain says of itself and the rest, which is fusion and windows."""

    def __init__(self, chain: Perception, costs: Costs) -> None:
        super().__init__(chain, "", "")
        self._costs = costs

    def feed(self, image: Image, t: float) -> Step:
        begin = time.process_time()
        step = super().feed(image, t)
        spent = time.process_time() - begin
        for name, ms in step.frame.stage_ms.items():
            self._costs.spent_s[name] += ms / 1000
        self._costs.spent_s["fusion"] += spent - sum(step.frame.stage_ms.values()) / 1000
        return step


class TimedWatch(Watch):
    """Heads, alerts and selection."""

    def __init__(self, state: State, permit: Permit, costs: Costs) -> None:
        selector = Selector(np.random.default_rng(0), 0.05, 30)
        super().__init__(Observer(selector), state, permit, discard, costs)
        self._costs = costs

    def window(self, window: FeatureWindow) -> None:
        with self._costs.stage("heads"):
            super().window(window)


def make_loop(
    source: Source, capture: Capture, chain: Perception, schedule: Schedule, duration: float | None, costs: Costs
) -> Loop:
    """The loop of an agent with a model and without a trainer."""
    state = State(heads=Heads(bundle(), DEFAULT_TASKS))
    permit = Permit(ConsentBook(Path(os.devnull)), None, NOT_NEEDED)
    pipeline, watch = TimedPipeline(chain, costs), TimedWatch(state, permit, costs)
    return Loop(source, capture, pipeline, watch, state, permit, duration, threading.Event(), schedule)
