"""The pictures of a page about an expression model: epochs, confusion, and reliability before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from training.evaluation.calibration import Reliability
from training.report.svg import Axis, axis_over, drawing, line, mark, text, tick
from training.report.wording import number

WIDTH_PX = 860
PANEL_PX, TITLE_PX, EPOCHS_PX = 170, 26, 36
LABEL_PX, GUTTER_PX, TICK_PX = 44, 26, 8
CELL_WIDTH_PX, CELL_HEIGHT_PX, HEAD_PX, NAME_PX = 86, 44, 44, 78
SQUARE_PX = 300
STRIP_PX, STRIP_HEIGHT_PX = 200, 22
DARKEST = 0.85
"""Opacity of a cell that holds its whole row."""

PANELS = {
    "Loss of training": (("loss", "grey"),),
    "Accuracy and macro F1": (("accuracy", "blue"), ("macro_f1", "vermillion")),
    "Calibration error": (("ece", "green"),),
}


def curves(history: Sequence[Mapping[str, float]], best_epoch: int) -> str:
    """Figures of every epoch in panels side by side; the epoch that ships is marked.

    Args:
        history: at least one epoch; each with epoch, loss, accuracy, macro_f1 and ece.
        best_epoch: from 1.
    """
    each = (WIDTH_PX + GUTTER_PX) / len(PANELS)
    parts = []
    for place, (title, series) in enumerate(PANELS.items()):
        start = place * each
        across = _epochs(history).over(start + LABEL_PX, start + each - GUTTER_PX - TICK_PX)
        parts += _panel(title, series, history, best_epoch, start, across)
    return drawing(WIDTH_PX, TITLE_PX + PANEL_PX + EPOCHS_PX, parts, "figures of every epoch")


def _epochs(history: Sequence[Mapping[str, float]]) -> Axis:
    last = max(int(history[-1]["epoch"]), 2)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if last / step <= 6)
    return Axis(0, math.ceil(last / step) * step, step)


def _panel(
    title: str,
    series: Sequence[tuple[str, str]],
    history: Sequence[Mapping[str, float]],
    best_epoch: int,
    left: float,
    across: Axis,
) -> list[str]:
    bottom = TITLE_PX + PANEL_PX
    up = axis_over([epoch[name] for name, _ in series for epoch in history]).over(bottom, TITLE_PX + 8)
    parts = [text(left, 13, title, colour="ink", bold=True)]
    for level in up.ticks():
        parts.append(line(across.start, up.at(level), across.end, up.at(level), "grid"))
        parts.append(text(across.start - 8, up.at(level) + 4, tick(level), "end"))
    parts += [text(across.at(epoch), bottom + 18, tick(epoch), "middle") for epoch in across.ticks()]
    parts.append(text((across.start + across.end) / 2, bottom + 34, "epoch", "middle"))
    for name, colour in series:
        points = [(across.at(epoch["epoch"]), up.at(epoch[name])) for epoch in history]
        joined = " ".join(f"{x:g},{y:g}" for x, y in points)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="var(--{colour})" stroke-width="1.8"/>')
        parts += _best(history, best_epoch, name, colour, points)
    return parts


def _best(
    history: Sequence[Mapping[str, float]],
    best_epoch: int,
    name: str,
    colour: str,
    points: Sequence[tuple[float, float]],
) -> list[str]:
    place = next((i for i, epoch in enumerate(history) if epoch["epoch"] == best_epoch), None)
    if place is None:
        return []
    x, y = points[place]
    below = name == "macro_f1"  # it lies under the other line
    value = number(history[place][name], 3)
    return [mark(x, y, "circle", colour), text(x, y + (20 if below else -10), value, "middle", "ink")]


def confusion_shares(matrix: npt.NDArray[np.int64], classes: Sequence[str]) -> str:
    """Shares of each label's faces by answer, with counts; int64 [classes, classes], rows are labels."""
    size = len(classes)
    parts = [text(NAME_PX + CELL_WIDTH_PX * size / 2, 12, "the model said", "middle")]
    for column, name in enumerate(classes):
        parts.append(text(NAME_PX + CELL_WIDTH_PX * (column + 0.5), 34, name, "middle", "ink"))
    for row, name in enumerate(classes):
        y, total = HEAD_PX + CELL_HEIGHT_PX * row, int(matrix[row].sum())
        parts.append(text(NAME_PX - 12, y + CELL_HEIGHT_PX / 2 + 4, name, "end", "ink"))
        for column, count in enumerate(matrix[row].tolist()):
            share = count / total if total else 0.0
            parts += _cell(NAME_PX + CELL_WIDTH_PX * column, y, share, count, row == column)
    height = HEAD_PX + CELL_HEIGHT_PX * size + 2
    return drawing(NAME_PX + CELL_WIDTH_PX * size + 2, height, parts, "confusion of labels and answers")


def _cell(x: float, y: float, share: float, count: int, right: bool) -> list[str]:
    colour = "blue" if right else "vermillion"
    ink = "paper" if share * DARKEST > 0.45 else "ink"
    middle = x + CELL_WIDTH_PX / 2
    return [
        f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{CELL_WIDTH_PX - 2}" height="{CELL_HEIGHT_PX - 2}" '
        f'fill="var(--{colour})" fill-opacity="{DARKEST * share:.3f}" stroke="var(--grid)"/>',
        text(middle, y + 20, f"{share * 100:.0f} %", "middle", ink, bold=right),
        f'<g font-size="10.5">{text(middle, y + 35, f"{count:,}", "middle", ink if share > 0.4 else "soft")}</g>',
    ]


def recall_strip(value: float, low: float, high: float) -> str:
    """A share and its interval on a track from 0 to 1, to stand in a table."""
    at = Axis(0.0, 1.0, 1.0, 6, STRIP_PX - 6)
    middle = STRIP_HEIGHT_PX / 2
    parts = [
        f'<rect x="6" y="{middle - 3:g}" width="{STRIP_PX - 12}" height="6" rx="3" fill="var(--grid)"/>',
        line(at.at(low), middle, at.at(high), middle, "blue", 2.4),
        mark(at.at(value), middle, "circle", "blue"),
    ]
    return drawing(STRIP_PX, STRIP_HEIGHT_PX, parts, f"{value:.0%}, between {low:.0%} and {high:.0%}")


def reliability_pair(before: Reliability, after: Reliability) -> str:
    """How often the model was right, by how sure it was, without the temperature (hollow) and with it.

    The larger a mark, the more faces.
    """
    low = math.floor(10 * min(float(np.nanmin(curve.confidence)) for curve in (before, after))) / 10
    bottom = 34 + SQUARE_PX * 0.8
    across = Axis(low, 1.0, 0.2 if low < 0.5 else 0.1, LABEL_PX, LABEL_PX + SQUARE_PX)
    up = Axis(0.0, 1.0, 0.25, bottom, 34)
    parts = []
    for place, (name, hollow) in enumerate((("without temperature", True), ("with it, as served", False))):
        x = LABEL_PX + 5 + 150 * place
        parts += [mark(x, 9, "circle", "grey" if hollow else "blue", hollow), text(x + 11, 13, name, colour="ink")]
    for level in up.ticks():
        parts.append(line(across.start, up.at(level), across.end, up.at(level), "grid"))
        parts.append(text(across.start - 8, up.at(level) + 4, tick(level), "end"))
    ticks = np.arange(math.ceil(low / across.step - 1e-9), round(1 / across.step) + 1) * across.step
    parts += [text(across.at(level), bottom + 18, tick(level), "middle") for level in ticks.tolist()]
    parts.append(text((across.start + across.end) / 2, bottom + 36, "confidence", "middle"))
    parts.append(line(across.at(low), up.at(low), across.at(1), up.at(1), "soft", dashed=True))
    parts += _curve(before, across, up, "grey", hollow=True) + _curve(after, across, up, "blue", hollow=False)
    return drawing(LABEL_PX + SQUARE_PX + 14, bottom + 42, parts, "share of right answers by confidence")


def _curve(curve: Reliability, across: Axis, up: Axis, colour: str, hollow: bool) -> list[str]:
    filled = np.flatnonzero(curve.count).tolist()
    points = [(across.at(float(curve.confidence[i])), up.at(float(curve.accuracy[i]))) for i in filled]
    joined = " ".join(f"{x:g},{y:g}" for x, y in points)
    parts = [f'<polyline points="{joined}" fill="none" stroke="var(--{colour})" stroke-width="1.6"/>']
    most = int(curve.count.max())
    look = (
        f'fill="var(--{"paper" if hollow else colour})" fill-opacity=".8" stroke="var(--{colour})" stroke-width="1.6"'
    )
    for i, (x, y) in zip(filled, points, strict=True):
        said = f"confidence {curve.confidence[i]:.2f}, right {curve.accuracy[i]:.2f}, {curve.count[i]:,} faces"
        radius = 2 + 5 * math.sqrt(curve.count[i] / most)
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}" {look}><title>{said}</title></circle>')
    return parts
