"""An agent's loop before a live source, for tests of what it shows and keeps while the source fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge_agent.capture import LiveCapture
from edge_agent.consent import NOT_NEEDED, ConsentBook, Permit
from edge_agent.loop import Consumer, Loop
from edge_agent.sources import Frame, Source
from edge_agent.sources.camera import LiveSource
from edge_agent.sources.isolated import IsolatedDevice
from edge_agent.state import State
from perception.chain import Perception
from perception.fusion import Second
from perception.pipeline import FeaturePipeline
from sentry_proto.types import CameraState
from tests.edge_agent.acted_device import OPENER
from tests.perception.stages import stand_in


class Keeper(Consumer):
    """Keeps the seconds, as the store would, and the newest frames."""

    def __init__(self) -> None:
        self.kept: list[Second] = []
        self.newest: list[Frame] = []

    def frame(self, frame: Frame) -> None:
        self.newest = [*self.newest[-50:], frame]

    def seconds(self, seconds: list[Second]) -> None:
        self.kept += seconds


class Room:
    """The loop, running until `close`; nothing but the models is made up."""

    def __init__(self, source: Source, stop: threading.Event, models: Perception | None = None) -> None:
        self.source, self.stop, self.state, self.keeper = source, stop, State(), Keeper()
        permit = Permit(ConsentBook(Path(os.devnull)), None, NOT_NEEDED)
        pipeline = FeaturePipeline(models or stand_in(), "", "")
        capture = LiveCapture(source, stop)
        self.loop = Loop(source, capture, pipeline, self.keeper, self.state, permit, None, stop)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def shows(self, *states: CameraState) -> Callable[[], bool]:
        return lambda: self.state.camera in states

    def stored(self, state: CameraState) -> Callable[[], bool]:
        return lambda: any(second.camera_state is state for second in self.keeper.kept)

    def close(self) -> None:
        self.stop.set()
        self.thread.join()
        self.source.close()


class ActedRoom(Room):
    """A room with an acted camera; `act` says what it does. It is known when a local one is unplugged."""

    def __init__(self, folder: Path, act: str = "live", local: bool = False, models: Perception | None = None) -> None:
        self.script = folder / "act"
        self.act(act)
        stop, opener = threading.Event(), partial(IsolatedDevice, OPENER, str(self.script))
        present = self._plugged if local else lambda: True
        super().__init__(LiveSource("acted", opener, "P01", stop, present=present), stop, models)

    def _plugged(self) -> bool:
        return self.script.read_text() != "lost"

    def act(self, what: str) -> None:
        part = self.script.with_suffix(".part")
        part.write_text(what)
        part.replace(self.script)

    def opened(self) -> list[float]:
        return [float(line) for line in self.script.with_suffix(".opened").read_text().split()]

    def most_opened_in_a_minute(self) -> int:
        times = self.opened()
        return max(sum(t <= other < t + 60 for other in times) for t in times)
