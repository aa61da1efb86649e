"""The arrays read from MediaPipe's C structures are what its own Python makes of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perception import face, pose
from perception.face import Landmarker
from perception.native import VideoTask, internals
from perception.pose import PoseLandmarker
from perception.runtime import create_task, mediapipe_image, vision
from tests.perception.test_chain import Image


def test_a_face_is_the_one_that_mediapipe_reports(portrait: Image) -> None:
    image = mediapipe_image(cv2.cvtColor(portrait, cv2.COLOR_BGR2RGB))
    ours, theirs = Landmarker(1), create_task(vision.FaceLandmarker, face.landmarker_options(1))
    (seen,) = ours.detect(image, 0.0)
    found = theirs.detect_for_video(image, 1)
    expected = np.array([(p.x * image.width, p.y * image.height) for p in found.face_landmarks[0]])
    np.testing.assert_allclose(seen.landmarks, expected, atol=1e-2)
    assert seen.blendshapes == pytest.approx({c.category_name: c.score for c in found.face_blendshapes[0]}, abs=1e-5)
    axes = found.facial_transformation_matrixes[0][:3, :3]
    np.testing.assert_allclose(seen.rotation, axes / np.linalg.norm(axes, axis=0), atol=1e-5)
    ours.close()
    theirs.close()


def test_a_body_is_the_one_that_mediapipe_reports(portrait: Image) -> None:
    image = mediapipe_image(cv2.cvtColor(portrait, cv2.COLOR_BGR2RGB))
    ours, theirs = PoseLandmarker(), create_task(vision.PoseLandmarker, pose.landmarker_options())
    body = ours.detect(image, 0.0)
    (found,) = theirs.detect_for_video(image, 1).pose_landmarks
    width, height = image.width, image.height
    expected = [(p.x * width, p.y * height, p.z * width, p.visibility) for p in found]
    assert body is not None
    np.testing.assert_allclose(body, expected, atol=1e-2)
    ours.close()
    theirs.close()


def test_an_empty_picture_has_no_face() -> None:
    landmarker = Landmarker(1)
    assert landmarker.detect(mediapipe_image(np.zeros((64, 64, 3), np.uint8)), 0.0) == []
    landmarker.close()


def test_what_mediapipe_refuses_is_an_error(portrait: Image) -> None:
    task = VideoTask(vision.FaceLandmarker, face.landmarker_options(1), internals.face)
    image = mediapipe_image(portrait)
    with task.detect(image, 5):
        pass
    with pytest.raises((ValueError, RuntimeError), match="timestamp"), task.detect(image, 5):
        pass
    task.close()
