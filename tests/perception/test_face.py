from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception import face
from perception.crop import Box
from perception.face import HOLD_S, FaceTracker, choose_participant, overlap
from perception.face_features import head_angles
from perception.runtime import mediapipe_image
from sentry_proto.errors import MissingDependency

Image = NDArray[np.uint8]

SMALL, LARGE, FAR = Box(0, 0, 10, 10), Box(20, 0, 60, 40), Box(500, 0, 600, 100)

boxes = st.lists(
    st.builds(lambda x, y, s: Box(x, y, x + s, y + s), st.floats(0, 500), st.floats(0, 500), st.floats(1, 200)),
    max_size=5,
)


@pytest.mark.parametrize(
    ("faces", "previous", "chosen"),
    [
        ([], None, None),
        ([], SMALL, None),
        ([SMALL, LARGE], None, 1),  # nobody yet: the largest
        ([SMALL, LARGE], SMALL, 0),  # tracked: stays, though a larger one is there
        ([LARGE, FAR], SMALL, None),  # the participant is out of sight: nobody takes the place
        ([FAR, Box(1, 1, 11, 11)], SMALL, 1),  # moved a little
        ([Box(5, 0, 15, 10), Box(1, 0, 11, 10)], SMALL, 1),  # the one that overlaps most
    ],
)
def test_choose_participant(faces: list[Box], previous: Box | None, chosen: int | None) -> None:
    assert choose_participant(faces, previous) == chosen


@given(boxes, boxes.filter(bool))
def test_order_of_faces_does_not_matter(faces: list[Box], previous: list[Box]) -> None:
    for before in (None, previous[0]):
        chosen = choose_participant(faces, before)
        mirrored = choose_participant(faces[::-1], before)
        assert (chosen is None) == (mirrored is None)
        if chosen is not None and mirrored is not None:
            assert _rank(faces[chosen], before) == pytest.approx(_rank(faces[::-1][mirrored], before))


def _rank(box: Box, previous: Box | None) -> float:
    return box.area if previous is None else overlap(box, previous)


@given(boxes.filter(lambda found: len(found) >= 2))
def test_overlap_is_symmetric_and_bounded(found: list[Box]) -> None:
    assert overlap(found[0], found[1]) == overlap(found[1], found[0])
    assert 0 <= overlap(found[0], found[1]) <= 1 + 1e-9
    assert overlap(found[0], found[0]) == pytest.approx(1)


def seen(image: Image, tracker: FaceTracker, t: float) -> tuple[float, float] | None:
    """Centre of the participant's face, or None."""
    found = tracker.detect(mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), t).participant
    return None if found is None else ((found.box.x0 + found.box.x1) / 2, (found.box.y0 + found.box.y1) / 2)


def place(portrait: Image, *spots: tuple[int, int, float]) -> Image:
    """A grey picture of 700 x 420 pixels with the portrait's head at x, y in some scale."""
    canvas = np.full((420, 700, 3), 128, np.uint8)
    head = portrait[10:240, 110:340]
    for x, y, scale in spots:
        patch = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return canvas


def test_a_passer_by_does_not_take_over(tracker: FaceTracker, portrait: Image) -> None:
    tracker.reset()
    alone = place(portrait, (10, 50, 1.2))
    both = place(portrait, (10, 50, 1.2), (300, 0, 1.7))
    gone = place(portrait, (300, 0, 1.7))
    start = seen(alone, tracker, 0.0)
    assert start is not None
    assert start[0] < 300
    for i in range(1, 16):  # a second one, larger, for 1.5 s
        now = seen(both, tracker, i / 10)
        assert now is not None
        assert now == pytest.approx(start, abs=15)
    scan = tracker.detect(mediapipe_image(cv2.cvtColor(both, cv2.COLOR_BGR2RGB)), 1.6)
    assert scan.faces == 2
    assert seen(gone, tracker, 1.8) is None
    back = seen(gone, tracker, 1.8 + HOLD_S)
    assert back is not None
    assert back[0] > 300


def test_the_largest_of_several_is_the_participant(tracker: FaceTracker, portrait: Image) -> None:
    tracker.reset()
    scan = tracker.detect(
        mediapipe_image(cv2.cvtColor(place(portrait, (10, 50, 1.2), (300, 0, 1.7)), cv2.COLOR_BGR2RGB)), 0.0
    )
    assert scan.faces == 2
    assert scan.participant is not None
    assert scan.participant.box.x0 > 300


def test_duplicate_and_late_frames_do_not_raise(tracker: FaceTracker, portrait: Image) -> None:
    tracker.reset()
    assert all(seen(portrait, tracker, t) for t in (5.0, 5.04, 5.04, 5.0, 4.0, 5.08, -3600.0, 1e9))


def test_a_bundle_of_rubbish_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rubbish = tmp_path / "face_landmarker.task"
    rubbish.write_bytes(bytes(1000))
    monkeypatch.setattr(face, "model_path", lambda name: rubbish)
    with pytest.raises(MissingDependency, match="cannot be loaded"):
        FaceTracker()


@pytest.mark.parametrize("degrees", [-12, 12])
def test_roll_follows_the_picture(tracker: FaceTracker, portrait: Image, degrees: float) -> None:
    def roll(image: Image) -> float:
        tracker.reset()
        found = tracker.detect(mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), 0.0).participant
        assert found is not None
        return head_angles(found.rotation)[2]

    turn = cv2.getRotationMatrix2D((220, 120), degrees, 1.0)  # positive is counter-clockwise
    turned = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    assert roll(turned) - roll(portrait) == pytest.approx(degrees, abs=3)


def test_yaw_changes_sign_in_the_mirror(tracker: FaceTracker, portrait: Image) -> None:
    def yaw(image: Image) -> float:
        tracker.reset()
        found = tracker.detect(mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), 0.0).participant
        assert found is not None
        return head_angles(found.rotation)[0]

    assert yaw(np.ascontiguousarray(portrait[:, ::-1])) == pytest.approx(-yaw(portrait), abs=4)
