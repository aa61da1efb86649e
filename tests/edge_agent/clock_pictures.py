"""Pictures that show when they were made, so that a test knows how old they are. To draw them takes bare Python."""

from __future__ import annotations

from typing import Any

WIDTH, HEIGHT = 256, 64
BITS = 16
CYCLE_S = 2**BITS / 100


def grey_clock(now: float) -> bytes:
    """A grey picture, row by row, of 16 bars that show `now`, Unix seconds, in hundredths and modulo `CYCLE_S`."""
    shown = round(now * 100) % 2**BITS
    row = b"".join((b"\xe0" if shown >> bit & 1 else b"\x20") * (WIDTH // BITS) for bit in range(BITS))
    return row * HEIGHT


def time_shown(image: Any, about: float) -> float:
    """Unix seconds that a picture, uint8 [H, W, 3], shows, as near to `about` as may be."""
    side = WIDTH // BITS
    bars = [image[:, bit * side + 4 : (bit + 1) * side - 4].mean() > 128 for bit in range(BITS)]
    shown = sum(int(bar) << bit for bit, bar in enumerate(bars)) / 100
    return float(shown + CYCLE_S * round((about - shown) / CYCLE_S))
