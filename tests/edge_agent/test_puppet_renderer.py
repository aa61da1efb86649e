"""The puppet before the real models: it is found, and it answers the script in the expected direction."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge_agent.puppet import renderer
from edge_agent.puppet.renderer import Puppet
from edge_agent.puppet.script import PEOPLE, Motion, Person, motion
from perception.chain import FrameResult, Perception
from sentry_proto.errors import MissingDependency
from sentry_proto.layout import FRAME_INDEX
from sentry_proto.types import CameraState

pytest.importorskip("skimage", reason="the puppet's portrait comes with the demo extra")


@pytest.fixture(scope="module")
def puppet() -> Puppet:
    return Puppet()


def test_a_frame_repeats_exactly_and_the_next_one_differs(puppet: Puppet) -> None:
    first = puppet.render(PEOPLE[0], 3.0)
    assert (first.shape, str(first.dtype)) == ((480, 640, 3), "uint8")
    np.testing.assert_array_equal(first, puppet.render(PEOPLE[0], 3.0))
    assert (first != puppet.render(PEOPLE[0], 3.2)).mean() > 0.3


def test_without_scikit_image_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def no_skimage(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_skimage)
    with pytest.raises(MissingDependency, match="demo"):
        Puppet()


@pytest.fixture(scope="module")
def perception() -> Iterator[Perception]:
    with Perception() as chain:
        yield chain


STILL = dataclasses.replace(
    motion(PEOPLE[0], 0.0), mouth_corners=0.03, mouth_press=0, jaw=0, brows=0, frown=0, lids=0, gaze_x=0, gaze_y=0,
    yaw=0, pitch=0, roll_deg=0, head_y=0, shift_x=0, shift_y=0, zoom=1, light=1,
)  # fmt: skip
PLAIN: Person = dataclasses.replace(PEOPLE[0], mirror=False, width=1.0, scale=1.0, gamma=1.0, gain=(1.0, 1.0, 1.0))


def look(puppet: Puppet, chain: Perception, posed: Motion, monkeypatch: pytest.MonkeyPatch) -> FrameResult:
    """What the chain sees of a pose, once the landmarkers have settled on it."""
    monkeypatch.setattr(renderer, "motion", lambda person, t: posed)
    chain.reset()
    look.clock += 100.0  # type: ignore[attr-defined]
    return [chain.process(puppet.render(PLAIN, i / 10), look.clock + i / 10) for i in range(8)][-1]  # type: ignore[attr-defined]


look.clock = 0.0  # type: ignore[attr-defined]

ANSWERS = {
    "mouth corners down": ({"mouth_corners": 0.18}, "blendshape_mouthSmile", -0.3),
    "lids closed": ({"lids": 1.0}, "blendshape_eyeBlink", 0.25),
    "jaw open": ({"jaw": 0.25}, "mouth_opening", 0.05),
    "head turned": ({"yaw": 1.0}, "head_yaw", 4.0),
    "head lowered": ({"pitch": 1.0}, "head_pitch", 3.0),
    "leaning aside": ({"roll_deg": 8.0}, "shoulder_tilt", 1.5),
    "head sunk": ({"head_y": 0.35}, "slouch", 0.02),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ANSWERS)
def test_the_features_answer_the_script(
    case: str, puppet: Puppet, perception: Perception, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, feature, least = ANSWERS[case]
    rest = look(puppet, perception, STILL, monkeypatch).values[FRAME_INDEX[feature]]
    moved = look(puppet, perception, dataclasses.replace(STILL, **change), monkeypatch).values[FRAME_INDEX[feature]]
    answer = float(moved - rest)
    if feature.startswith("head_"):  # either sign, as long as it turns
        assert abs(answer) >= least
    else:
        assert answer / least >= 1


@pytest.mark.slow
def test_face_and_shoulders_are_found_in_every_person_and_state(puppet: Puppet, perception: Perception) -> None:
    faces, bodies = [], []
    for number, person in enumerate(PEOPLE):
        perception.reset()
        for step in range(40):
            result = perception.process(puppet.render(person, 3.7 * step), 10_000 * (number + 1) + 0.2 * step)
            faces.append(result.camera_state is CameraState.OK)
            bodies.append(bool(np.isfinite(result.values[FRAME_INDEX["shoulder_tilt"]])))
    assert np.mean(faces) >= 0.99
    assert np.mean(bodies) >= 0.95
