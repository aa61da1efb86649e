"""The picture of `sentry-train sessions check`: how long each person was labelled with each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sentry_proto.errors import InputError, StorageError
from training.datasets.session_check import Balance

COLOURS = "cividis"
"""A scale from dark to light that reads the same with every kind of colour vision, and in grey."""

DARKEST, LIGHTEST = 0.1, 0.92
ROW_INCHES, PANEL_INCHES = 0.28, 3.2
DOTS_PER_INCH = 150


def draw_balance(people: Mapping[str, Balance], path: Path) -> None:
    """Draw one panel per task, one bar per person, one shade per class.

    Args:
        people: labelled seconds of each person.
        path: of the picture; its ending says which kind.

    Raises:
        InputError: nobody has a label, or there is no such kind of picture.
        StorageError: it cannot be written.
    """
    tasks = list(dict.fromkeys(task for balance in people.values() for task in balance))
    if not tasks:
        raise InputError("no second has a label: there is no balance to draw")
    figure = Figure(figsize=(1 + PANEL_INCHES * len(tasks), 1.6 + ROW_INCHES * len(people)), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        _panel(axes, task, {person: balance.get(task, {}) for person, balance in people.items()})
    panels[0].invert_yaxis()  # the first person on top; the other panels share the axis
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    except ValueError as error:
        raise InputError(f"cannot draw {path}: {error}") from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _panel(axes: Axes, task: str, people: Mapping[str, Mapping[str, int]]) -> None:
    classes = list(dict.fromkeys(name for balance in people.values() for name in balance))
    shades = mpl.colormaps[COLOURS]
    left = dict.fromkeys(people, 0.0)
    for number, name in enumerate(classes):
        share = number / max(len(classes) - 1, 1)
        minutes = [balance.get(name, 0) / 60 for balance in people.values()]
        colour = shades(DARKEST + share * (LIGHTEST - DARKEST))
        axes.barh(list(people), minutes, left=list(left.values()), color=colour, label=name, height=0.7)
        left = {person: begin + width for (person, begin), width in zip(left.items(), minutes, strict=True)}
    axes.set_xlabel("labelled minutes")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    key = axes.legend(
        title=task, alignment="left", loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, frameon=False,
        handlelength=1, columnspacing=1,
    )  # fmt: skip
    key.get_title().set_fontweight("bold")
