"""The pictures of a report: forest plots, people, confusion, reliability."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from training.evaluation.calibration import Reliability
from training.evaluation.results import Figure, Result
from training.report.svg import SHAPES, Axis, axis_over, drawing, line, mark, text, tick
from training.report.wording import estimate, metric_name, number

WIDTH_PX, LABEL_PX, ESTIMATE_PX, COUNT_PX = 860, 236, 132, 48
ROW_PX, GROUP_PX, HEAD_PX, FOOT_PX, INSET_PX = 21, 27, 22, 26, 8
PEOPLE_PX, LEVEL_PX, NAME_PX = 210, 44, 58
MOST_NAMES = 40
"""People whose names fit below their marks; with more of them, the names show on pointing."""

CELL_PX, MOST_CELLS_PX, SQUARE_PX = 96, 300, 260
STRIP_PX = 150
COLOURS = ("blue", "vermillion", "green")
ASIDE_PX = 7
"""Between the marks of one person, so that equal values do not hide each other."""

LETTER_PX = 6.4
"""How wide a letter of a label is taken to be."""


@dataclass(frozen=True)
class Row:
    """One line of a forest plot.

    Attributes:
        label: what was measured.
        result: with the metrics of all panels.
        control: drawn as a grey diamond.
        hollow: the second of two kinds that stand side by side.
    """

    label: str
    result: Result
    control: bool = False
    hollow: bool = False


@dataclass(frozen=True)
class Panel:
    """One column of a forest plot.

    Attributes:
        metric: drawn in it.
        line: of chance; NaN for none.
        shown: values that the axis holds in any case, so that small differences look small.
        title: above it.
    """

    metric: str
    line: float = math.nan
    shown: Sequence[float] = ()
    title: str = field(default="")


def forest(groups: Mapping[str, Sequence[Row]], panels: Sequence[Panel]) -> str:
    """Estimates on their intervals, row below row, in one panel or several side by side.

    Args:
        groups: title -> rows; a group without rows is left out.
        panels: at least one.
    """
    filled = {title: rows for title, rows in groups.items() if rows}
    height = HEAD_PX + sum(GROUP_PX + ROW_PX * len(rows) for rows in filled.values()) + FOOT_PX
    spans = _spans(len(panels))
    results = [row.result for rows in filled.values() for row in rows]
    axes = [_panel_axis(panel, results, *span, len(panels)) for panel, span in zip(panels, spans, strict=True)]
    parts = [_scale(panel, axis, height) for panel, axis in zip(panels, axes, strict=True)]
    parts.append(text(WIDTH_PX, 12, "people", "end"))
    y = float(HEAD_PX)
    for title, rows in filled.items():
        parts.append(text(0, y + GROUP_PX - 8, title, colour="ink", bold=True))
        y += GROUP_PX
        for row in rows:
            parts += _row(row, panels, axes, y + ROW_PX / 2)
            y += ROW_PX
    named = ", ".join(panel.title or metric_name(panel.metric) for panel in panels)
    return drawing(WIDTH_PX, height, parts, f"{named} of {len(results)} ingredients")


def strip(figure: Figure, chance: float, shown: Sequence[float], colour: str = "blue") -> str:
    """One interval without a label, to stand in a table."""
    axis = axis_over([figure.low, figure.high, chance], *shown).over(INSET_PX, STRIP_PX - INSET_PX)
    parts = [line(axis.at(chance), 0, axis.at(chance), ROW_PX, "soft", dashed=True)]
    parts += _interval(figure, axis, ROW_PX / 2, colour, "circle", hollow=False)
    return drawing(STRIP_PX, ROW_PX, parts, estimate(figure))


def people_marks(series: Mapping[str, Mapping[str, float]], metric: str, chance: float) -> str:
    """One column per person, ordered by the first series, with a mark of each of at most three series."""
    first = next(iter(series.values()))
    everyone = dict.fromkeys(person for values in series.values() for person in values)
    people = sorted(everyone, key=lambda person: (first.get(person, math.inf), person))
    named = len(people) <= MOST_NAMES
    axis = axis_over([value for values in series.values() for value in values.values()], chance)
    axis = axis.over(PEOPLE_PX - 8, 34)
    column = (WIDTH_PX - LEVEL_PX) / max(len(people), 8)
    places = {person: LEVEL_PX + column * (place + 0.5) for place, person in enumerate(people)}
    right = LEVEL_PX + column * len(people)
    parts = _key(series)
    for level in axis.ticks():
        parts += [line(LEVEL_PX, axis.at(level), right, axis.at(level), "grid")]
        parts += [text(LEVEL_PX - 8, axis.at(level) + 4, tick(level), "end")]
    parts.append(line(LEVEL_PX, axis.at(chance), right, axis.at(chance), "soft", dashed=True))
    for person, x in places.items():
        parts += _person(person, x, {name: values[person] for name, values in series.items() if person in values},
                         list(series), axis, named)  # fmt: skip
    return drawing(WIDTH_PX, PEOPLE_PX + (NAME_PX if named else 4), parts, f"{metric_name(metric)} of each person")


def confusion(matrix: Iterable[Iterable[float]], classes: Sequence[str]) -> str:
    """Windows by label (rows) and answer (columns), shaded by their share of the row."""
    rows = [list(counts) for counts in matrix]
    left = 16 + LETTER_PX * max(len(_short(name)) for name in classes)
    cell = min(CELL_PX, MOST_CELLS_PX / len(classes))
    parts = [text(left + cell * len(classes) / 2, 12, "the model said", "middle")]
    for column, name in enumerate(classes):
        parts.append(text(left + cell * (column + 0.5), 32, _short(name, cell), "middle", "ink"))
    for place, (name, counts) in enumerate(zip(classes, rows, strict=True)):
        y, total = 42 + (cell * 0.62) * place, sum(counts)
        parts.append(text(left - 10, y + cell * 0.31 + 4, _short(name), "end", "ink"))
        for column, count in enumerate(counts):
            parts += _cell(left + cell * column, y, cell, count, count / total if total else 0.0)
    height = 42 + cell * 0.62 * len(classes) + 4
    return drawing(left + cell * len(classes) + 4, height, parts, "confusion of labels and answers")


def reliability_curve(curve: Reliability) -> str:
    """How often the model was right, by how sure it was; the larger the mark, the more windows."""
    filled = np.flatnonzero(curve.count)
    least = float(np.nanmin(curve.confidence[filled])) if len(filled) else 0.5
    low, step = (0.5, 0.1) if least >= 0.5 else (math.floor(5 * least) / 5, 0.2)
    across = Axis(low, 1.0, step, LEVEL_PX, LEVEL_PX + SQUARE_PX)
    up = Axis(0.0, 1.0, 0.25, SQUARE_PX * 0.72, 10)
    bottom = SQUARE_PX * 0.72
    parts = []
    for level in up.ticks():
        parts += [line(across.start, up.at(level), across.end, up.at(level), "grid")]
        parts += [text(across.start - 8, up.at(level) + 4, tick(level), "end")]
    for level in across.ticks():
        parts.append(text(across.at(level), bottom + 18, tick(level), "middle"))
    parts.append(line(across.at(low), up.at(low), across.at(1), up.at(1), "soft", dashed=True))
    parts += _curve(curve, filled.tolist(), across, up)
    parts.append(text((across.start + across.end) / 2, bottom + 36, "confidence", "middle"))
    return drawing(LEVEL_PX + SQUARE_PX + 14, bottom + 42, parts, "share of right answers by confidence")


def _spans(panels: int) -> list[tuple[float, float]]:
    """Pixels from where to where each panel's axis lies; the estimate stands right of it."""
    each = (WIDTH_PX - LABEL_PX - COUNT_PX) / panels
    starts = [LABEL_PX + each * place for place in range(panels)]
    return [(start + INSET_PX, start + each - ESTIMATE_PX - INSET_PX) for start in starts]


def _panel_axis(panel: Panel, results: Sequence[Result], start: float, end: float, panels: int) -> Axis:
    figures = [result.metrics[panel.metric] for result in results if panel.metric in result.metrics]
    values = [value for figure in figures for value in (figure.value, figure.low, figure.high)]
    return axis_over(values, panel.line, *panel.shown, most=8 if panels == 1 else 4).over(start, end)


def _scale(panel: Panel, axis: Axis, height: float) -> str:
    bottom = height - FOOT_PX + 4
    parts = [text(axis.start - INSET_PX, 12, panel.title or metric_name(panel.metric))]
    for value in axis.ticks():
        parts += [line(axis.at(value), HEAD_PX + 8, axis.at(value), bottom, "grid")]
        parts += [text(axis.at(value), bottom + 16, tick(value), "middle")]
    if math.isfinite(panel.line):
        parts.append(line(axis.at(panel.line), HEAD_PX + 2, axis.at(panel.line), bottom, "soft", 1.2, dashed=True))
    return "".join(parts)


def _row(row: Row, panels: Sequence[Panel], axes: Sequence[Axis], y: float) -> list[str]:
    parts = [
        f"<g><title>{escape(row.label)}</title>",
        text(12, y + 4, _short(row.label, LABEL_PX - 16), colour="ink"),
        "</g>",
    ]
    for panel, axis in zip(panels, axes, strict=True):
        figure = row.result.metrics.get(panel.metric)
        if figure is None:
            continue
        look = ("grey", "diamond") if row.control else ("blue", "circle")
        parts += _interval(figure, axis, y, *look, row.hollow)
        parts.append(text(axis.end + INSET_PX + 6, y + 4, estimate(figure), colour="soft" if row.control else "ink"))
    people = row.result.metrics[panels[0].metric].n if panels[0].metric in row.result.metrics else row.result.people
    return [*parts, text(WIDTH_PX, y + 4, str(people), "end")]


def _interval(figure: Figure, axis: Axis, y: float, colour: str, shape: str, hollow: bool) -> list[str]:
    parts = []
    if math.isfinite(figure.low):
        parts.append(line(axis.at(figure.low), y, axis.at(figure.high), y, colour, 1.8))
    if math.isfinite(figure.value):
        parts.append(mark(axis.at(figure.value), y, shape, colour, hollow))
    return parts


def _key(series: Iterable[str]) -> list[str]:
    parts, x = [], float(LEVEL_PX)
    for place, name in enumerate(series):
        parts += [mark(x + 5, 9, SHAPES[place], COLOURS[place]), text(x + 16, 13, name, colour="ink")]
        x += 16 + LETTER_PX * len(name) + 22
    return parts


def _person(
    person: str, x: float, values: Mapping[str, float], names: Sequence[str], axis: Axis, named: bool
) -> list[str]:
    ends = [axis.at(value) for value in values.values()]
    parts = [line(x, min(ends), x, max(ends), "line")] if len(ends) > 1 else []
    for name, value in values.items():
        place = names.index(name)
        aside = round(x + ASIDE_PX * (place - (len(names) - 1) / 2), 1)
        said = f"<title>{escape(f'{person}, {name}: {number(value)}')}</title>"
        parts.append(f"<g>{said}{mark(aside, axis.at(value), SHAPES[place], COLOURS[place])}</g>")
    if named:
        y = PEOPLE_PX + 10
        parts.append(
            f'<text x="{x:.1f}" y="{y}" text-anchor="end" transform="rotate(-50 {x:.1f} {y})" fill="var(--soft)" '
            f'font-size="11">{escape(_short(person, 68))}</text>'
        )
    return parts


def _cell(x: float, y: float, side: float, count: float, share: float) -> list[str]:
    colour, tall = "paper" if share > 0.8 else "ink", side * 0.62
    box = (
        f'<rect x="{x:g}" y="{y:g}" width="{side - 3:g}" height="{tall - 3:g}" rx="2" fill="var(--grid)"/>'
        f'<rect x="{x:g}" y="{y:g}" width="{side - 3:g}" height="{tall - 3:g}" rx="2" fill="var(--blue)" '
        f'fill-opacity="{0.9 * share:.2f}"/>'
    )
    middle = x + (side - 3) / 2
    windows = f"{count:,.1f}".removesuffix(".0")
    return [
        box,
        text(middle, y + tall / 2 - 2, f"{share:.0%}", "middle", colour, bold=True),
        text(middle, y + tall / 2 + 13, windows, "middle", colour),
    ]


def _curve(curve: Reliability, filled: Sequence[int], across: Axis, up: Axis) -> list[str]:
    points = [(across.at(float(curve.confidence[place])), up.at(float(curve.accuracy[place]))) for place in filled]
    joined = " ".join(f"{x:g},{y:g}" for x, y in points)
    parts = [f'<polyline points="{joined}" fill="none" stroke="var(--blue)" stroke-width="1.4" stroke-opacity=".55"/>']
    most = int(curve.count.max()) or 1
    for place, (x, y) in zip(filled, points, strict=True):
        count = int(curve.count[place])
        said = f"confidence {curve.confidence[place]:.2f}, right {curve.accuracy[place]:.2f}, {count:,} windows"
        radius = 2 + 7 * math.sqrt(count / most)
        look = 'fill="var(--blue)" fill-opacity=".75"'
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}" {look}><title>{said}</title></circle>')
    return parts


def _short(words: str, pixels: float = 150) -> str:
    most = max(int(pixels / LETTER_PX), 4)
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
