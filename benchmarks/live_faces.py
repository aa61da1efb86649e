"""What the expression model says of people before a camera, beside MediaPipe's smile as an independent witness.

    python -m benchmarks.live_faces --videos DIR [--model FILE.onnx] [--out FILE.png] [--fps 8] [--json]

Of every clip with a face: how often a frame whose `mouthSmile` blendshape is above 0.6 is called happy (should be 1),
how often one below 0.2 is (should be 0), and the area under the ROC curve of the probability of happy between the two;
and the mean probability of neutral where nobody smiles. Each is given for the crop rule in use and for the rule before
it, which did not turn faces that lean far. The witness is none where a face cries or grimaces: it then reports a smile.
`--out` draws a contact sheet with the predictions.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from perception.crop import LEFT_EYE, MOST_LEAN, RIGHT_EYE, crop_face, lean
from perception.emotion import ExpressionModel
from perception.face import FaceTracker
from perception.face_features import both_sides
from perception.runtime import mediapipe_image
from perception.video import Thinner, VideoFile
from sentry_proto.errors import MediaError
from sentry_proto.layout import EMOTIONS
from sentry_proto.types import Float32

HAPPY, NEUTRAL = EMOTIONS.index("happy"), EMOTIONS.index("neutral")
SMILING, NOT_SMILING = 0.6, 0.2
FEWEST = 5
"""Frames of a kind that a rate needs."""

COLUMNS, TILE_PX, CAPTION_PX, TITLE_PX, GAP_PX = 10, 132, 50, 30, 8
INK, SOFT, AGREES, DIFFERS, PAPER = "#1d2529", "#5a6670", "#007a5a", "#d55e00", "#ffffff"


@dataclass(frozen=True, eq=False)
class Seen:
    """A face in one frame.

    Attributes:
        t: seconds from the start of the clip.
        smile: MediaPipe's coefficient, 0..1.
        lean: degrees, clockwise.
        crop: grey uint8 [S, S].
        now, before: probabilities of the seven emotions, float32 [7], by the crop rule in use and by the one before.
    """

    t: float
    smile: float
    lean: float
    crop: NDArray[np.uint8]
    now: Float32
    before: Float32


def look(path: Path, model: ExpressionModel, fps: float) -> list[Seen]:
    """The participant in every frame of a clip in which they are seen, at most `fps` a second."""
    seen, thinner = [], Thinner(fps)
    with VideoFile(path) as video, FaceTracker() as tracker:
        for image, t in video:
            if not thinner.passes(t):
                continue
            face = tracker.detect(mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), t).participant
            if face is None:
                continue
            crops = [crop_face(image, points) for points in (face.landmarks, levelled(face.landmarks))]
            now, before = (model(crop[None]).probabilities[0] for crop in crops)
            smile = both_sides(face.blendshapes, "mouthSmile")
            seen.append(Seen(t, smile, lean(face.landmarks), crops[0], now, before))
    return seen


def levelled(landmarks: Float32) -> Float32:
    """The same with eyes at one height: what the crop rule before, which turned nothing, would have seen."""
    points = landmarks.copy()
    eyes = [*RIGHT_EYE, *LEFT_EYE]
    points[eyes, 1] = landmarks[eyes, 1].mean()
    return points


def figures(seen: list[Seen], before: bool) -> dict[str, float | None]:
    """Rates and area of one clip; None where there are too few frames."""
    smile = np.array([one.smile for one in seen])
    probabilities = np.array([one.before if before else one.now for one in seen])
    happy, called = probabilities[:, HAPPY], probabilities.argmax(axis=1) == HAPPY
    yes, no = smile > SMILING, smile < NOT_SMILING
    return {
        "smiling_called_happy": _share(called[yes]),
        "not_smiling_called_happy": _share(called[no]),
        "auroc": _area(happy[yes], happy[no]),
        "not_smiling_neutral": round(float(probabilities[no, NEUTRAL].mean()), 3) if no.sum() >= FEWEST else None,
    }


def _area(higher: Float32, lower: Float32) -> float | None:
    """Under the ROC curve: the share of pairs in the right order (Mann and Whitney 1947)."""
    if min(len(higher), len(lower)) < FEWEST:
        return None
    difference = higher[:, None] - lower
    return round(float(np.mean(difference > 0) + np.mean(difference == 0) / 2), 3)


def _share(called: NDArray[np.bool_]) -> float | None:
    return round(float(called.mean()), 3) if len(called) >= FEWEST else None


def summary(seen: list[Seen]) -> dict[str, object]:
    """All that is said of one clip."""
    smile = np.array([one.smile for one in seen])
    return {
        "frames": len(seen),
        "smiling": int((smile > SMILING).sum()),
        "not_smiling": int((smile < NOT_SMILING).sum()),
        "leaning": int(sum(abs(one.lean) > MOST_LEAN for one in seen)),
        "now": figures(seen, before=False),
        "before": figures(seen, before=True),
    }


def draw_sheet(clips: dict[str, list[Seen]], out: Path) -> None:
    """One row of faces per clip, evenly over its time, with what the model and the witness say of each."""
    row_px = TITLE_PX + TILE_PX + CAPTION_PX + GAP_PX
    sheet = Image.new("RGB", (GAP_PX + COLUMNS * (TILE_PX + GAP_PX), GAP_PX + row_px * len(clips)), PAPER)
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(15), ImageFont.load_default(12)
    for row, (name, seen) in enumerate(clips.items()):
        top = GAP_PX + row * row_px
        draw.text((GAP_PX, top + 4), f"{name}   {_in_words(seen)}", INK, title)
        for column, index in enumerate(np.linspace(0, len(seen) - 1, min(COLUMNS, len(seen))).astype(int)):
            left, one = GAP_PX + column * (TILE_PX + GAP_PX), seen[index]
            face = Image.fromarray(one.crop).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC)
            sheet.paste(face, (left, top + TITLE_PX))
            _caption(draw, small, one, left, top + TITLE_PX + TILE_PX + 2)
    sheet.save(out)


def _in_words(seen: list[Seen]) -> str:
    shown = figures(seen, before=False)
    parts = [f"{len(seen)} frames"]
    for name, words in (("smiling_called_happy", "smiling"), ("not_smiling_called_happy", "not smiling")):
        if shown[name] is not None:
            parts.append(f"{words}: {shown[name]:.0%} called happy")
    return ", ".join(parts)


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _caption(draw: ImageDraw.ImageDraw, font: Font, one: Seen, x: int, y: int) -> None:
    said = int(one.now.argmax())
    right = said == HAPPY if one.smile > SMILING else said != HAPPY if one.smile < NOT_SMILING else None
    draw.text((x, y), _answer(one.now), SOFT if right is None else AGREES if right else DIFFERS, font)
    draw.text((x, y + 15), f"smile {one.smile:.2f}", SOFT, font)
    if abs(one.lean) > MOST_LEAN:
        draw.text((x, y + 30), f"not turned: {_answer(one.before)}", SOFT, font)


def _answer(probabilities: Float32) -> str:
    return f"{EMOTIONS[int(probabilities.argmax())]} {probabilities.max():.2f}"


def main(argv: list[str] | None = None) -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="a folder of clips of one person each")
    parser.add_argument("--model", type=Path, help="default: the one that ships")
    parser.add_argument("--out", type=Path, help="contact sheet to draw, a .png file")
    parser.add_argument("--fps", type=float, default=8.0, help="frames a second to look at; default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    model, clips = ExpressionModel(options.model), {}
    for path in sorted(path for path in options.videos.iterdir() if path.is_file()):
        try:
            seen = look(path, model, options.fps)
        except MediaError as error:
            print(error, file=sys.stderr)
            continue
        if seen:
            clips[path.stem] = seen
    if not clips:
        print(f"no face in any clip of {options.videos}", file=sys.stderr)
        return 2
    if options.out:
        draw_sheet(clips, options.out)
    shown = {name: summary(seen) for name, seen in clips.items()}
    print(json.dumps(shown) if options.json else _table(clips))
    return 0


def _table(clips: dict[str, list[Seen]]) -> str:
    lines = [f"{'':34}{'smiling: happy':>20}{'not smiling: happy':>22}{'AUROC':>18}{'not smiling: neutral':>24}"]
    lines.append(f"{'clip (before -> now)':34}")
    for name, seen in clips.items():
        pairs = zip(figures(seen, before=True).values(), figures(seen, before=False).values(), strict=True)
        cells = [f"{_number(old)} -> {_number(new)}" for old, new in pairs]
        lines.append(f"{name:34}{cells[0]:>20}{cells[1]:>22}{cells[2]:>18}{cells[3]:>24}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
