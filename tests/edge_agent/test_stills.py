"""What raters get to see of a person: small, rare, and without a face that anybody or any model could find."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_agent import stills
from edge_agent.puppet.renderer import Puppet
from edge_agent.puppet.script import PEOPLE
from edge_agent.stills import EVERY_S, SIDE, Stills, unrecognisable
from perception.chain import FrameResult, Image, Perception, frame_vector
from perception.crop import Box
from sentry_proto.limits import MAX_STILL_BYTES, MAX_STILLS
from sentry_proto.types import CameraState, Still, Window
from tests.sentry_proto.records import alert, window

FACE = Box(280.0, 120.0, 360.0, 220.0)
NOISE: Image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
START = window().features.start


def seen(t: float, state: CameraState = CameraState.OK, box: Box | None = FACE) -> FrameResult:
    return FrameResult(t, frame_vector({}), state, 1, box, {})


def taken(times: list[float]) -> tuple[Still, ...]:
    """What a window gets of a session with frames at these seconds after its start."""
    made = Stills()
    for t in times:
        made.look(NOISE, seen(START + t))
    record = made.attached(window())
    assert isinstance(record, Window)
    return record.stills


def test_a_window_gets_a_few_that_are_spread_over_it() -> None:
    got = taken([0.1 * n for n in range(-100, 500)])
    assert [still.time - START for still in got] == pytest.approx([0, 15, 30], abs=EVERY_S)
    assert len(got) == MAX_STILLS
    assert all(len(still.jpeg) <= MAX_STILL_BYTES for still in got), "even noise"


@pytest.mark.parametrize(("times", "expected"), [([], []), ([-40.0, 45.0], []), ([4.0], [4.0]), ([4.0, 6.0], [4.0])])
def test_a_window_gets_only_what_was_taken_in_it(times: list[float], expected: list[float]) -> None:
    assert [still.time - START for still in taken(times)] == expected


@pytest.mark.parametrize(
    "result",
    [seen(START, state) for state in CameraState if state is not CameraState.OK] + [seen(START, box=None)],
    ids=lambda result: result.camera_state.value,
)
def test_nothing_is_taken_unless_exactly_one_face_is_seen(result: FrameResult) -> None:
    made = Stills()
    made.look(NOISE, result)
    record = made.attached(window())
    assert isinstance(record, Window)
    assert record.stills == ()


def test_an_alert_carries_none_and_another_session_none_of_this_one() -> None:
    made = Stills()
    made.look(NOISE, seen(START))
    assert made.attached(alert()) == alert()
    made.forget()
    record = made.attached(window())
    assert isinstance(record, Window)
    assert record.stills == ()


def test_a_clock_that_goes_back_does_not_end_the_pictures() -> None:
    made = Stills()
    made.look(NOISE, seen(START + 3_600))
    made.look(NOISE, seen(START + 1))
    record = made.attached(window())
    assert isinstance(record, Window)
    assert [still.time for still in record.stills] == [START + 1]


@pytest.mark.parametrize("box", [FACE, Box(-50, -60, 40, 60), Box(600, 400, 700, 560), Box(700, 500, 800, 600)])
def test_a_face_at_the_edge_is_cut_out_all_the_same(box: Box) -> None:
    picture = unrecognisable(NOISE, box)
    assert min(picture.shape[:2]) >= 1
    assert max(picture.shape[:2]) <= SIDE


def test_no_detail_of_the_face_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two frames that differ in all but the averages of the face's cells give the same picture."""
    monkeypatch.setattr(stills, "AROUND", stills.HIDDEN)
    other = NOISE.copy()
    inside = other[110:230, 270:370]
    inside[...] = cv2.blur(inside, (3, 3))
    first, second = (unrecognisable(image, FACE).astype(int) for image in (NOISE, other))
    assert np.abs(first - second).max() <= 12
    assert np.abs(NOISE.astype(int) - other)[110:230, 270:370].mean() > 40
    assert len(np.unique(first.reshape(-1, 3), axis=0)) < 0.2 * first.shape[0] * first.shape[1]


def test_the_face_cannot_be_found_any_more() -> None:
    """Of the puppet, whom the models find in the frame: in the picture, also made larger, they find nobody."""
    pytest.importorskip("skimage", reason="the puppet's portrait comes with the demo extra")
    image = Puppet().render(PEOPLE[0], 3.0)
    with Perception() as perception:
        result = perception.process(image, START)
        assert result.camera_state is CameraState.OK
        made = Stills()
        made.look(image, result)
        record = made.attached(window())
        assert isinstance(record, Window)
        [still] = record.stills
        picture = cv2.imdecode(np.frombuffer(still.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert max(picture.shape) <= SIDE
        bare = cut_out_with_the_face(image, result)
        for number, (shown, state) in enumerate(((picture, CameraState.NO_FACE), (bare, CameraState.OK)), 1):
            perception.reset()
            larger = cv2.resize(shown, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
            assert perception.process(larger, START + 60 * number).camera_state is state


def cut_out_with_the_face(image: Image, result: FrameResult) -> Image:
    """The same picture with the face left as it is: that they find nobody is not because it is small."""
    assert result.box is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stills, "HIDDEN", Box(99.0, 99.0, 99.0, 99.0))
        return unrecognisable(image, result.box)
