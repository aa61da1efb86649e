"""What the figures about live faces are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import live_faces
from benchmarks.live_faces import HAPPY, NEUTRAL, Seen, draw_sheet, figures, levelled, summary
from perception.crop import lean
from sentry_proto.types import Float32


def seen(smile: float, now: tuple[int, float], before: tuple[int, float] | None = None, lean: float = 0.0) -> Seen:
    return Seen(0.0, smile, lean, np.full((60, 60), 90, np.uint8), _answer(*now), _answer(*(before or now)))


def _answer(said: int, confidence: float) -> Float32:
    row = np.full(7, (1 - confidence) / 6, np.float32)
    row[said] = confidence
    return row


def test_rates_count_frames_in_which_the_witness_is_sure() -> None:
    clip = [seen(0.9, (HAPPY, 0.8))] * 3 + [seen(0.8, (NEUTRAL, 0.6))] * 2 + [seen(0.4, (HAPPY, 0.9))] * 9
    clip += [seen(0.1, (NEUTRAL, 0.7))] * 4 + [seen(0.0, (NEUTRAL, 0.7), before=(HAPPY, 0.7), lean=-40)]
    now, before = figures(clip, before=False), figures(clip, before=True)
    assert (now["smiling_called_happy"], now["not_smiling_called_happy"]) == (0.6, 0.0)
    assert before["not_smiling_called_happy"] == 0.2
    assert now["auroc"] == 1.0
    assert before["auroc"] == pytest.approx((5 * 5 - 2) / 25)
    assert now["not_smiling_neutral"] == pytest.approx(0.7)
    assert summary(clip)["leaning"] == 1


def test_too_few_frames_have_no_rate() -> None:
    few = figures([seen(0.9, (HAPPY, 0.8))] * 4 + [seen(0.0, (NEUTRAL, 0.8))] * 9, before=False)
    assert few["smiling_called_happy"] is few["auroc"] is None
    assert few["not_smiling_called_happy"] == 0.0


def test_levelled_landmarks_do_not_lean() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (478, 2)).astype(np.float32)
    points[[33, 133], 0], points[[362, 263], 0] = 20, 70
    assert abs(lean(points)) > 1
    assert lean(levelled(points)) == pytest.approx(0, abs=1e-4)


def test_the_sheet_has_a_row_per_clip(tmp_path: Path) -> None:
    draw_sheet(
        {"one": [seen(0.9, (HAPPY, 0.8), lean=30)] * 3, "two": [seen(0.0, (NEUTRAL, 0.8))] * 30}, tmp_path / "s.png"
    )
    with Image.open(tmp_path / "s.png") as sheet:
        row = live_faces.TITLE_PX + live_faces.TILE_PX + live_faces.CAPTION_PX + live_faces.GAP_PX
        assert sheet.height == 2 * row + live_faces.GAP_PX
