"""The stamp by which the stream's latency is measured."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.webrtc import Ages, read_stamp
from edge_agent.sources.base import Image

NOW = 1_750_000_000.25


def stamped(t: float, size: tuple[int, int] = (640, 480)) -> Image:
    """A grey picture with the blocks that the page writes, after lossy coding."""
    ms = int(1000 * t) % 2**24
    code = ms * 256 + sum(ms.to_bytes(3, "big")) % 256
    image = np.full((480, 640, 3), 120, np.uint8)
    for block in range(32):
        image[460:, 20 * block : 20 * block + 20] = 255 if code >> (31 - block) & 1 else 0
    coded = cv2.imencode(".jpg", cv2.resize(image, size), [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("size", [(640, 480), (320, 240)])
@pytest.mark.parametrize("age", [0.0, 0.045, 12.0])
def test_a_stamp_survives_coding_and_scaling(size: tuple[int, int], age: float) -> None:
    found = read_stamp(stamped(NOW - age, size), NOW)
    assert found == pytest.approx(NOW - age, abs=0.002)


def test_a_stamp_that_is_damaged_is_not_read() -> None:
    image = stamped(NOW)
    image[:, 100:120] = 255 - image[:, 100:120]
    assert read_stamp(image, NOW) is None


def test_ages_are_summed_up_by_the_minute() -> None:
    ages = Ages()
    for second, age in ((0.0, 0.1), (1.0, 0.3), (61.0, 0.5)):
        now = NOW + second
        ages.add(stamped(now - age), now - age / 2, now)
    figures = ages.figures()
    assert figures["drawn_to_feature"]["median_ms_by_minute"] == pytest.approx([200, 500], abs=2)
    assert figures["captured_to_feature"]["median_ms_by_minute"] == pytest.approx([100, 250], abs=2)
    assert figures["unread_stamps"] == 0
