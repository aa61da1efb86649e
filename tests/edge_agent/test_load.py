"""A machine that becomes too slow for a while, on a simulated clock: the loop, the slot and the schedule are real."""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent import loop as loop_module
from edge_agent.capture import LiveCapture
from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.loop import Consumer, Loop
from edge_agent.sources import Frame
from edge_agent.state import State
from perception.chain import FrameResult, Perception
from perception.emotion import Expressions
from perception.face import FaceScan
from perception.pipeline import FeaturePipeline
from perception.schedule import LEVELS, Schedule
from sentry_proto.types import Float32
from tests.perception.stages import Neutral, OneBody, OneFace
from tests.perception.test_chain import noise

FPS = 30
BEGIN = 1_750_000_000.0
SLOW, QUICK, END = 5.0, 20.0, 65.0
"""Seconds at which the machine becomes six times as slow, at which it is as before, and at which the run ends."""

COST_S = {"face": 0.009, "pose": 0.012, "expression": 0.001}


class Machine:
    """The clock of everything, and how long a model takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks: list[tuple[float, str]] = []

    def look(self, model: str) -> None:
        self.looks.append((self.now, model))
        self.now += COST_S[model] * (6 if SLOW <= self.now < QUICK else 1)

    def monotonic(self) -> float:
        return self.now

    perf_counter = process_time = monotonic

    def time(self) -> float:
        return BEGIN + self.now


class Face(OneFace):
    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def detect(self, image: Any, t: float) -> FaceScan:
        self._machine.look("face")
        return super().detect(image, t)


class Body(OneBody):
    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def detect(self, image: Any, t: float) -> Float32 | None:
        self._machine.look("pose")
        return super().detect(image, t)


class Expression(Neutral):
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __call__(self, faces: NDArray[np.uint8]) -> Expressions:
        self._machine.look("expression")
        return super().__call__(faces)


class Camera:
    """Thirty frames a second, whoever takes them."""

    name, live, clock_rate = "simulated", True, 1.0

    def __init__(self) -> None:
        self._pictures = [np.ascontiguousarray(noise(seed)[::2, ::2]) for seed in range(7)]

    def frame(self, index: int) -> Frame:
        picture = self._pictures[index % 7]  # none is seen twice in a row at any of the rates
        return Frame(picture, BEGIN + index / FPS, "P01", "s1", index)

    def frames(self) -> Iterator[Frame]:
        raise NotImplementedError("the slot is filled by the clock")

    def close(self) -> None: ...


class Slot(LiveCapture):
    """The real slot, filled by the simulated clock and not by a thread."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._camera = machine, Camera()
        super().__init__(self._camera, threading.Event())

    def _start_reader(self) -> None: ...

    def __iter__(self) -> Iterator[Frame | None]:
        for index in itertools.count():
            due = index / FPS
            if due > self._machine.now + 1e-9:
                if self._slot is not None:
                    yield self._take()
                self._machine.now = max(self._machine.now, due)
            self._put(self._camera.frame(index))


class Notes(Consumer):
    """What was seen when, at which level."""

    def __init__(self, machine: Machine, schedule: Schedule) -> None:
        self._machine, self._schedule = machine, schedule
        self.seen: list[tuple[float, float, int]] = []  # when its features were known, its age, the level

    def looked(self, frame: Frame, seen: FrameResult) -> None:
        now = self._machine.now
        self.seen.append((now, BEGIN + now - frame.time, self._schedule.level))

    def between(self, begin: float, end: float) -> list[tuple[float, float, int]]:
        return [note for note in self.seen if begin <= note[0] < end]


class Story:
    """One run."""

    def __init__(self, schedule: Schedule, seconds: float = END) -> None:
        self.machine = Machine()
        self.notes, self.slot = Notes(self.machine, schedule), Slot(self.machine)
        chain = Perception(Face(self.machine), Expression(self.machine), Body(self.machine), schedule)
        permit = Permit(ConsentBook(Path(os.devnull)), None, NOT_NEEDED)
        pipeline, stop = FeaturePipeline(chain, "", ""), threading.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop_module, "time", self.machine)
            loop = Loop(Camera(), self.slot, pipeline, self.notes, State(), permit, seconds, stop, schedule)
            loop.run()
        self.figures = loop.figures()

    def looks_a_second(self, begin: float, end: float) -> Counter[str]:
        counts = Counter(model for t, model in self.machine.looks if begin <= t < end)
        return Counter({model: round(count / (end - begin)) for model, count in counts.items()})


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(Schedule(LEVELS))


def test_load_is_shed_in_the_stated_order_and_taken_back_in_reverse(story: Story) -> None:
    levels = [level for level, _ in itertools.groupby(level for _, _, level in story.notes.seen)]
    assert levels == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    for level, rates in enumerate(LEVELS):
        held = [t for t, _, at in story.notes.between(QUICK + 1, END) if at == level]
        looks = story.looks_a_second(held[0], held[-1])
        expected = {"face": rates.face or FPS, "pose": rates.pose, "expression": rates.expression}
        assert looks == pytest.approx(expected, abs=1), level


def test_results_stay_fresh_and_nothing_queues_up(story: Story) -> None:
    assert max(age for _, age, _ in story.notes.seen) < 0.2
    worn = story.notes.between(QUICK - 8, QUICK)
    assert np.median([age for _, age, _ in worn]) < 0.1, "every model at its full rate takes 0.13 s"
    assert len(worn) / 8 > 9
    left = story.figures["frames_read"] - story.figures["frames_scored"] - story.figures["frames_dropped"]
    assert left in (0, 1), "every frame was used, dropped or is the one in the slot"


def test_before_and_after_it_every_frame_is_used(story: Story) -> None:
    for begin, end in ((0.0, SLOW), (END - 5, END)):
        notes = story.notes.between(begin, end)
        assert {level for _, _, level in notes} == {0}
        assert len(notes) == pytest.approx(5 * FPS, abs=2)
        assert max(age for _, age, _ in notes) < 0.025
    assert story.figures["first_expression_at"] == pytest.approx(BEGIN + 0.022)


def test_without_shedding_they_would_be_old() -> None:
    """The rules above tell a machine that sheds from one that does not."""
    worn = Story(Schedule(LEVELS[:1]), QUICK).notes.between(QUICK - 8, QUICK)
    assert np.median([age for _, age, _ in worn]) > 0.12
    assert len(worn) / 8 < 9
