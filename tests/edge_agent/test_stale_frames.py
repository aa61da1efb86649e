"""R4: heads that find every window alarming raise no alert from pictures that show nobody now."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.capture import DirectCapture
from edge_agent.consent import PUPPET_CONSENT, ConsentBook, Permit
from edge_agent.heads import Heads
from edge_agent.loop import Loop
from edge_agent.observer import Observer
from edge_agent.outbox import Scored
from edge_agent.sources import Frame
from edge_agent.state import State
from edge_agent.watch import NoTrial, Watch
from perception.pictures import Image
from perception.pipeline import FeaturePipeline
from sentry_proto.tasks import DEFAULT_TASKS, STRESS
from sentry_proto.types import Alert, CameraState, Record
from tests.edge_agent.bundles import bundle
from tests.perception.stages import OneFace, stand_in
from training.active_learning.selection import Selector

pytestmark = pytest.mark.slow

FPS = 3
BEGIN = 1_750_000_000.0
NO_DATA_S = 15.0
"""Windows of half a minute hold as much of what was seen before for so long."""

Story = list[tuple[str, float]]
"""What the camera shows, and for how many seconds."""


class Acted:
    """A camera that plays a story on a clock of its own, before a model that sees a face in all that it is shown."""

    name, live, clock_rate = "acted", False, 1.0

    def __init__(self, story: Story, face: OneFace) -> None:
        self._story, self._face = story, face
        self._random = np.random.default_rng(0)

    def _noise(self) -> Image:
        return self._random.integers(60, 200, (48, 64, 3), np.uint8)

    def frames(self) -> Iterator[Frame]:
        t, index, image = BEGIN, 0, self._noise()
        for act, seconds in self._story:
            self._face.present = act != "nobody"
            for _ in range(round(seconds * FPS)):
                t += 1 / FPS
                if act == "unplugged":
                    continue
                image = image if act == "frozen" else self._noise() // (60 if act == "dark" else 1)
                yield Frame(image, t, "P01", "s1", index)
                index += 1

    def close(self) -> None:
        """Nothing is open."""


def watched(story: Story) -> tuple[list[Alert], dict[str, int]]:
    """The alerts that an agent with alarming heads raises and ends, and the seconds per camera state."""
    records: list[Record] = []

    def spool(found: list[Record], scored: list[Scored]) -> None:
        records.extend(found)

    face, stop, permit = OneFace(), threading.Event(), Permit(ConsentBook(Path(os.devnull)), None, PUPPET_CONSENT)
    source, state = Acted(story, face), State(heads=Heads(bundle(bias=20.0), DEFAULT_TASKS))
    watch = Watch(Observer(Selector(np.random.default_rng(0), 0.0, 0.0)), state, permit, spool, NoTrial())
    pipeline = FeaturePipeline(stand_in(face), "", "")
    loop = Loop(source, DirectCapture(source), pipeline, watch, state, permit, None, stop)
    loop.run()
    return [record for record in records if isinstance(record, Alert)], loop.figures()["camera_states"]


STALE = {
    "frozen": CameraState.FROZEN,
    "dark": CameraState.DARK,
    "nobody": CameraState.NO_FACE,
    "unplugged": CameraState.UNPLUGGED,
}


@pytest.mark.promise("R4")
@pytest.mark.parametrize("act", STALE)
def test_stale_frames_raise_no_alert(act: str) -> None:
    alerts, states = watched([("live", 45), (act, 120), ("live", 1)])
    assert alerts == []
    assert states[STALE[act].value] > 100


def test_the_same_heads_raise_an_alert_from_live_frames() -> None:
    (alert, _), _ = watched([("live", 166)])
    assert (alert.task, alert.end) == (STRESS.name, None)


@pytest.mark.promise("R4")
@pytest.mark.parametrize("act", ["frozen", "dark", "nobody"])
def test_an_alert_ends_when_frames_become_stale_and_none_follows_until_they_live_again(act: str) -> None:
    lost, back = BEGIN + 100, BEGIN + 250
    alerts, _ = watched([("live", 100), (act, 150), ("live", 100)])
    raised = [alert.start for alert in alerts if alert.end is None]
    assert len(raised) == 2
    assert raised[0] < lost
    assert raised[1] > back
    first_end = min(alert.end for alert in alerts if alert.end is not None)
    assert lost < first_end < lost + 2 * NO_DATA_S + 10
