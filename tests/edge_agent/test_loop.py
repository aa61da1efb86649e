"""What the loop tells the schedule and the watchdog of a live source."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.capture import LiveCapture
from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.loop import Consumer, Loop
from edge_agent.sources import Frame
from edge_agent.state import State
from perception.pipeline import FeaturePipeline
from perception.schedule import LEVELS, Schedule
from tests.perception.stages import stand_in


class Live:
    """A live source that says what a test has it say, `None` for a device that is gone; afterwards it hangs."""

    live, name, clock_rate, patience_s = True, "acted", 1.0, 60.0

    def __init__(self, *said: Frame | None) -> None:
        self._said = said
        self.hangs = threading.Event()

    def frames(self) -> Iterator[Frame | None]:
        for word in self._said:
            time.sleep(0.05)
            yield word
        self.hangs.wait(10)

    def interrupt(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        self.hangs.set()


class Told(Schedule):
    """Keeps what it is told of the work."""

    def __init__(self) -> None:
        super().__init__(LEVELS)
        self.here: list[float] = []

    def worked(self, now: float, spent_s: float, here_s: float) -> None:
        self.here.append(here_s)


class Listened:
    """A loop over such a source for a while, and what it told."""

    def __init__(self, *said: Frame | None, seconds: float = 1.0, schedule: Told | None = None) -> None:
        self.schedule, self.passed, self.waits = schedule or Told(), list[float](), list[float]()
        source, stop = Live(*said), threading.Event()
        permit = Permit(ConsentBook(Path(os.devnull)), None, NOT_NEEDED)
        loop = Loop(
            source, LiveCapture(source, stop), FeaturePipeline(stand_in(), "", ""), Consumer(), State(), permit, None,
            stop, self.schedule, self.passed.append, self.waits.append,
        )  # fmt: skip
        timer = threading.Timer(seconds, stop.set)
        timer.start()
        loop.run()
        source.close()


def frame(index: int, age_s: float = 0.0) -> Frame:
    picture = np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8)
    return Frame(picture, time.time() - age_s, "P01", "s", index)


def test_what_the_way_to_this_machine_took_is_not_held_against_the_machine() -> None:
    told = Listened(*(frame(i, age_s=60.0) for i in range(4))).schedule.here
    assert told
    assert max(told) < 30


class Giving(Told):
    """Gives looks up at the second frame."""

    @property
    def level(self) -> int:
        return int(len(self.here) > 1)


def test_a_change_of_what_is_given_up_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Listened(*(frame(i) for i in range(4)), schedule=Giving())
    (record,) = [record for record in caplog.records if record.name == "edge_agent.loop"]
    assert "level 1, after 0" in record.getMessage()
    assert vars(record)["fields"] == {"load_level": 1, "participant": "P01"}


def test_a_reader_that_says_that_the_camera_is_gone_is_heard_and_one_that_hangs_is_not() -> None:
    gone = Listened(None, None, None)
    assert (len(gone.passed), len(gone.waits) > 0) == (0, True)
    hangs = Listened(frame(0))
    assert (len(hangs.passed), len(hangs.waits)) == (1, 0)


def test_a_loss_is_told_as_long_as_the_reader_goes_on_saying_so() -> None:
    assert len(Listened(*[None] * 15, seconds=1.5).waits) >= 3
    assert len(Listened(None, seconds=1.5).waits) == 1, "and then nothing is heard of it"
