"""Whether live crops look like the faces that the expression model learned from.

    python -m benchmarks.face_crops --videos DIR [--data DATA] [--model FILE.onnx] [--faces 1500] [--json]

Live crops are brought to the 48x48 of FER2013, and MediaPipe then looks for the face in both alike, magnified: where
eyes and mouth lie (shares of the side), how wide the crop is in longer sides of the landmark box, how far its centre
lies above the box's, how far the face leans, and contrast and sharpness (standard deviation of grey levels, and of
their Laplacian over that). 10th, 50th and 90th percentile of each.

It also says what leaning costs: the accuracy on FER2013's own leaning faces as they are and turned upright, and on
faces that are all made to lean by some angle.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.bundles import model_path
from perception.crop import MOST_LEAN, crop_face, landmark_box, lean
from perception.emotion import ExpressionModel
from perception.face import MODEL, FaceTracker
from perception.face_features import LEFT_EYE, LEFT_MOUTH, RIGHT_EYE, RIGHT_MOUTH
from perception.runtime import BaseOptions, create_task, mediapipe_image, vision
from perception.video import Thinner, VideoFile
from sentry_proto.errors import MediaError
from sentry_proto.types import Float32
from training.datasets import fer2013

Image = NDArray[np.uint8]

MAGNIFIED = 5
MARGINS_PX = (0, 24, 48)
"""Tried in turn around a small face: a detector for whole pictures often misses one that fills its picture."""

ANGLES_DEG = (0, 10, 20, 30, 45)
PERCENTILES = (10, 50, 90)
LIVE_FPS = 2.0


class SmallFaces:
    """Finds the face in a 48x48 picture."""

    def __init__(self) -> None:
        base = BaseOptions(model_asset_path=str(model_path(MODEL)))
        self._task = create_task(vision.FaceLandmarker, vision.FaceLandmarkerOptions(base_options=base))

    def find(self, image: Image) -> Float32 | None:
        """Landmarks in pixels, float32 [478, 2], or None."""
        for margin in MARGINS_PX:
            wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
            large = cv2.resize(wide, None, fx=MAGNIFIED, fy=MAGNIFIED, interpolation=cv2.INTER_CUBIC)
            found = self._task.detect(mediapipe_image(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB))).face_landmarks
            if found:
                return np.array([(p.x, p.y) for p in found[0]], np.float32) * len(wide) - margin
        return None


def geometry(image: Image, points: Float32) -> dict[str, float]:
    """Where a face lies in its crop, and how the crop looks."""
    box, side = landmark_box(points), len(image)
    grey = image.astype(np.float64)
    spread = max(float(grey.std()), 1.0)
    return {
        "eyes_from_top": float(points[[*RIGHT_EYE, *LEFT_EYE], 1].mean()) / side,
        "mouth_from_top": float(points[[RIGHT_MOUTH, LEFT_MOUTH], 1].mean()) / side,
        "margin": side / box.side,
        "rise": ((box.y0 + box.y1) / 2 - side / 2) / box.side,
        "lean_deg": abs(lean(points)),
        "contrast": spread,
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_64F).std()) / spread,
    }


def percentiles(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Of each quantity."""
    return {name: np.percentile([row[name] for row in rows], PERCENTILES).round(3).tolist() for name in rows[0]}


def live_crops(videos: Path) -> Iterator[Image]:
    """Faces of all clips, brought to the size of FER2013."""
    for path in sorted(path for path in videos.iterdir() if path.is_file()):
        thinner = Thinner(LIVE_FPS)
        try:
            with VideoFile(path) as video, FaceTracker() as tracker:
                for image, t in video:
                    face = None
                    if thinner.passes(t):
                        face = tracker.detect(mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), t).participant
                    if face is not None:
                        side = (fer2013.SIDE, fer2013.SIDE)
                        yield cv2.resize(crop_face(image, face.landmarks), side, interpolation=cv2.INTER_AREA)
        except MediaError as error:
            print(error, file=sys.stderr)


def leaning(images: Image, leans: Float32, target: float) -> Image:
    """Faces turned about the middle of their picture until they lean by `target` degrees, half of them to each side."""
    middle = ((fer2013.SIDE - 1) / 2,) * 2
    signs = np.where(np.arange(len(images)) % 2, -1, 1)
    turned = [
        cv2.warpAffine(image, cv2.getRotationMatrix2D(middle, float(own - sign * target), 1), image.shape,
                       borderMode=cv2.BORDER_REPLICATE)
        for image, own, sign in zip(images, leans, signs, strict=True)
    ]  # fmt: skip
    return np.stack(turned)


def cost_of_leaning(model: ExpressionModel, faces: fer2013.Faces, leans: Float32) -> dict[str, Any]:
    """Accuracies on the same faces, at several angles."""

    def accuracy(images: Image, labels: NDArray[np.int64]) -> float:
        answers = np.concatenate([model(part).probabilities.argmax(1) for part in np.array_split(images, 20)])
        return round(float((answers == labels).mean()), 4)

    own = np.abs(leans) > MOST_LEAN
    return {
        "n": len(faces),
        "by_angle": {angle: accuracy(leaning(faces.images, leans, angle), faces.labels) for angle in ANGLES_DEG},
        "leaning_by_themselves": {
            "n": int(own.sum()),
            "as_they_are": accuracy(faces.images[own], faces.labels[own]),
            "turned_upright": accuracy(leaning(faces.images[own], leans[own], 0.0), faces.labels[own]),
        },
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="a folder of clips of one person each")
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--model", type=Path, help="default: the one that ships")
    parser.add_argument("--faces", type=int, default=1500, help="of PublicTest, drawn at random; default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    public = fer2013.load_fer2013(fer2013.find_data(options.data)).split("PublicTest")
    drawn = public.where(np.random.default_rng(0).permutation(len(public)) < options.faces)
    finder = SmallFaces()
    landmarks = [finder.find(image) for image in drawn.images]
    found = drawn.where(np.array([points is not None for points in landmarks]))
    points = [one for one in landmarks if one is not None]
    live = [(image, one) for image in live_crops(options.videos) if (one := finder.find(image)) is not None]
    leans = np.array([lean(one) for one in points], np.float32)
    figures = {
        "fer2013": {"faces": len(drawn), "found": len(found)}
        | percentiles([geometry(image, one) for image, one in zip(found.images, points, strict=True)]),
        "live": {"faces": len(live)} | percentiles([geometry(image, one) for image, one in live]),
        "leaning": cost_of_leaning(ExpressionModel(options.model), found, leans),
    }
    print(json.dumps(figures, indent=None if options.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
