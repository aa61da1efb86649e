"""New people, or a new camera, in mid-stream: what the live head knows of the old and of the new, window by window.

    python -m benchmarks.forgetting [--quick] [--json] [--figure FILE]

Simulated people with known truth (`training.datasets.simulation`). Their windows come one by one, as an audit sample;
every third is labelled at once. In mid-stream everything changes:

    new people   from then on other people come, in whom the second class shows in half of the features in which it did
                 before, and in as many others
    new camera   the same people before another camera: in the same way other features tell, the picture is darker, and
                 the face is seen for less of the time

Windows and labels go through the trainer's own stream watch, its rule for when a run is due, and its own fit and gate.
Four trainers: with or without replay (without it only the newest labels are known, to fit as to judge), and with or
without the drift trigger (a drift of the stream starts a run with the next label; without it a run takes its number of
labels). The score is balanced accuracy on people who are never in the stream, as they were before and as they are after
the change, by their true states. Draws in which no head is published before the change are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.layout import SECOND_FEATURES
from sentry_proto.types import Float32
from trainer_service import policy
from trainer_service.candidate import make_candidate
from trainer_service.labels import Opinion
from trainer_service.partition import partition_of
from trainer_service.stream_watch import StreamWatch
from training.active_learning.uncertainty import entropy
from training.datasets.simulation import TASK, SimulatedStudy
from training.evaluation.gate import figures
from training.trainers.state_heads import TaskHead
from training.windows import WindowSet

SEEDS, QUICK_SEEDS = 20, 3
STREAM, TEST = 18, 30
"""People whose windows come on each side of the change, and people who judge."""

LABEL_EVERY = 3
PER_RUN = 60
RECENT = 120
"""Labels that a trainer without replay knows: the newest."""

AFFECTED = 12
STEP = 24
"""Windows between two looks at the scores."""

DARKER, FACE_LOST = 0.2, 0.3
NAMES = [feature.name for feature in SECOND_FEATURES]
HALF = AFFECTED // 2
SWAPPED = [*range(AFFECTED, AFFECTED + HALF), *range(HALF, AFFECTED), *range(HALF), *range(AFFECTED + HALF, len(NAMES))]

Study = SimulatedStudy(people=STREAM + TEST, blocks=4, windows=11, effect=0.8, affected=AFFECTED, person=0.5)
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Side:
    """One side of the change: what comes in the stream, and the people who judge.

    Attributes:
        labels: of all windows of the stream, in their order; a window's id is the key of `pooled`.
        pooled: float32 [D] each.
        test, truth: float32 [n, D] and bool [n, 2].
    """

    labels: list[Opinion]
    pooled: Mapping[str, Float32]
    test: Float32
    truth: Flags

    def score(self, head: TaskHead) -> float:
        """Balanced accuracy on the people who judge."""
        return figures(self.truth, head.predict(self.test).mean)["balanced_accuracy"]


def new_people(seed: int) -> tuple[Side, Side]:
    """Others come, whose state shows elsewhere."""
    return _side(_lit(Study.draw(seed), 0.0), "old", 0), _side(
        _swapped(_lit(Study.draw(seed + 1_000), 0.0)), "new", STREAM
    )


def new_camera(seed: int) -> tuple[Side, Side]:
    """The same people, seen otherwise."""
    later = _swapped(_lit(Study.draw(seed + 1_000), DARKER))
    face = later.coverage.copy()
    face[:, later.space.modalities.index("face")] *= 1 - FACE_LOST
    return _side(_lit(Study.draw(seed), 0.0), "old", 0), _side(replace(later, coverage=face), "new", 0)


CHANGES: dict[str, Callable[[int], tuple[Side, Side]]] = {"new people": new_people, "new camera": new_camera}


def _swapped(drawn: WindowSet) -> WindowSet:
    """The second class in half of the old features, and in as many others."""
    return replace(drawn, values=drawn.values[:, SWAPPED], baselines=drawn.baselines[:, :, SWAPPED])


def _lit(drawn: WindowSet, darker: float) -> WindowSet:
    """The quality of the picture in the middle of its range, with little spread."""
    values, baselines = drawn.values.copy(), drawn.baselines.copy()
    for name, shift in (("brightness_mean", darker), ("sharpness_mean", 0.0)):
        column = NAMES.index(name)
        low, high = SECOND_FEATURES[column].low, SECOND_FEATURES[column].high
        middle, scale = low + (0.6 - shift) * (high - low), 0.02 * (high - low)
        values[:, column] = np.clip(middle + scale * values[:, column], low, high)
        baselines[:, 0, column] = middle + scale * baselines[:, 0, column]
        baselines[:, 1, column] *= scale
    return replace(drawn, values=values, baselines=baselines)


def _side(drawn: WindowSet, name: str, numbered_from: int) -> Side:
    pooled, allowed = drawn.pooled(), drawn.allowed[TASK.name]
    number = np.array([int(person[1:]) for person in drawn.people])
    coming = number < STREAM
    at_random = np.random.default_rng(STREAM).random(int(coming.sum()))
    order = np.flatnonzero(coming)[np.lexsort((at_random, drawn.elapsed[coming]))]
    labels = [
        Opinion(
            f"{name} {row}", f"p{numbered_from + number[row]:03d}", f"{name}/{number[row]}",
            partition_of(int(numbered_from + number[row]) + 1), float(drawn.elapsed[row]),
            TASK.classes[int(allowed[row, 1])], 1.0, "ann",
        )
        for row in order
    ]  # fmt: skip
    return Side(labels, {f"{name} {row}": pooled[row] for row in order}, pooled[~coming], allowed[~coming])


@dataclass(frozen=True)
class Trainer:
    """What a trainer does without.

    Attributes:
        replay: whether it learns from all labels, or only from the newest `RECENT`.
        drift: whether a drift starts a run.
    """

    replay: bool = True
    drift: bool = True


TRAINERS = {
    "replay, drift trigger": Trainer(),
    "replay": Trainer(drift=False),
    "drift trigger": Trainer(replay=False),
    "neither": Trainer(replay=False, drift=False),
}


@dataclass
class Run:
    """One trainer on one stream; times count windows from the change, negative before it.

    Attributes:
        scores: time, balanced accuracy on the old, on the new; from the first published head on.
        runs, published: times at which it learned, and at which a new head became live.
        drifts: times at which the watch saw a change, whether or not the trainer acts on it.
    """

    scores: list[tuple[int, float, float]]
    runs: list[int]
    published: list[int]
    drifts: list[int]


class Live:
    """The trainer at work: what it holds, its live head, and the watch."""

    def __init__(self, trainer: Trainer, fetch: Callable[[Sequence[Opinion]], Float32]) -> None:
        self._trainer, self._fetch = trainer, fetch
        self._watch = StreamWatch([TASK])
        self._held: list[Opinion] = []
        self._metrics: Mapping[str, Any] = {}
        self._fresh, self._last_run = 0, -math.inf
        self.head: TaskHead | None = None
        self.runs: list[int] = []
        self.published: list[int] = []

    def drifts(self) -> list[int]:
        """When the stream has changed."""
        return [int(found.time) for found in self._watch.drifts]

    def take(self, now: int, opinion: Opinion, labelled: bool) -> None:
        """A window has come, perhaps with its label."""
        pooled = self._fetch([opinion])
        said = None if self.head is None else self.head.predict(pooled).mean[0]
        unsure = [] if said is None else [{"task": TASK.name, "entropy": float(entropy(said[None])[0])}]
        self._watch.window(now, pooled[0], unsure)
        if not labelled:
            return
        told = None if said is None else said.tolist()
        self._watch.label(now, TASK.name, opinion.participant, opinion.value, pooled[0], told, audit=True)
        self._held, self._fresh = [*self._held, opinion], self._fresh + 1
        if self._is_due(now):
            self._learn(now)

    def _known(self) -> list[Opinion]:
        return self._held if self._trainer.replay else self._held[-RECENT:]

    def _is_due(self, now: int) -> bool:
        drift = max(self.drifts(), default=None) if self._trainer.drift else None
        why = policy.occasion(now, self._last_run, PER_RUN, None, drift, by_hand=False)
        return not policy.lacking(policy.stock(TASK, self._known()), self._fresh, why.wanted)

    def _learn(self, now: int) -> None:
        candidate, finding = make_candidate(TASK, self._known(), self._fetch, self.head, self._metrics)
        self._fresh, self._last_run = 0, now
        self.runs.append(now)
        if finding.passed:
            self.head, self._metrics = candidate, finding.metrics
            self.published.append(now)


def play(trainer: Trainer, before: Side, after: Side) -> Run | None:
    """The whole stream; None if there was no head when it changed."""
    pooled = {**before.pooled, **after.pooled}
    live = Live(trainer, partial(_fetch, pooled))
    scores = []
    first = -len(before.labels)
    for now, opinion in enumerate([*before.labels, *after.labels], first):
        if now == 0 and live.head is None:
            return None
        if now % STEP == 0 and live.head is not None:
            scores.append((now, before.score(live.head), after.score(live.head)))
        live.take(now, opinion, labelled=now % LABEL_EVERY == 0)
    if live.head is None:
        return None
    scores.append((len(after.labels), before.score(live.head), after.score(live.head)))
    return Run(scores, live.runs, live.published, live.drifts())


def _fetch(pooled: Mapping[str, Float32], held: Sequence[Opinion]) -> Float32:
    return np.stack([pooled[opinion.window_id] for opinion in held])


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Means over draws."""
    tables = [{time: (old, new) for time, old, new in run.scores} for run in runs]
    after = [np.array([row for time, row in table.items() if time > 0]) for table in tables]
    old, new = np.mean([table[0] for table in tables], axis=0)
    old_end, new_end = np.mean([rows[-1] for rows in after], axis=0)
    seen = [min((time for time in run.drifts if time >= 0), default=None) for run in runs]
    answered = [min((time for time in run.runs if time >= 0), default=None) for run in runs]
    return {
        "draws": len(runs),
        "old_before": round(float(old), 3),
        "old_lowest": round(float(np.mean([rows[:, 0].min() for rows in after])), 3),
        "old_end": round(float(old_end), 3),
        "new_before": round(float(new), 3),
        "new_mean": round(float(np.mean([rows[:, 1].mean() for rows in after])), 3),
        "new_end": round(float(new_end), 3),
        "runs": sum(len(run.runs) for run in runs),
        "published": sum(len(run.published) for run in runs),
        "drift_seen_in": sum(time is not None for time in seen),
        "windows_to_drift": _median(seen),
        "windows_to_run": _median(answered),
        "false_drifts": sum(time < 0 for run in runs for time in run.drifts),
        "curve": [
            [time, *(round(float(score), 4) for score in np.mean([table[time] for table in tables], axis=0))]
            for time in sorted(set.intersection(*(set(table) for table in tables)))
        ],
    }


def _median(times: Sequence[int | None]) -> float | None:
    known = [time for time in times if time is not None]
    return float(np.median(known)) if known else None


def table(seeds: int) -> list[dict[str, Any]]:
    """One row per change and trainer; only draws in which every trainer had a head."""
    rows = []
    for change, draw in CHANGES.items():
        played = [[play(trainer, *draw(seed)) for trainer in TRAINERS.values()] for seed in range(seeds)]
        complete = [[run for run in runs if run] for runs in played if all(runs)]
        for number, name in enumerate(TRAINERS if complete else ()):
            rows.append({"change": change, "trainer": name, **summarise([runs[number] for runs in complete])})
    return rows


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a person: balanced accuracies in percent, times in windows after the change."""
    titles = ["change", "trainer", "draws", "old before", "old lowest", "old end", "new before", "new mean", "new end"]
    titles += ["published", "drift seen", "after windows", "next run after", "false drifts"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    scores = ("old_before", "old_lowest", "old_end", "new_before", "new_mean", "new_end")
    for row in rows:
        cells = [row["change"], row["trainer"], str(row["draws"]), *(f"{100 * row[name]:.1f}" for name in scores)]
        cells += [f"{row['published']} of {row['runs']}", f"{row['drift_seen_in']} of {row['draws']}"]
        cells += ["-" if row[name] is None else f"{row[name]:.0f}" for name in ("windows_to_drift", "windows_to_run")]
        lines.append(f"| {' | '.join([*cells, str(row['false_drifts'])])} |")
    return "\n".join(lines)


def figure(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Scores on the old and the new over the stream."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a figure is wanted

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    drawn, axes = plt.subplots(
        2, len(CHANGES), figsize=(9, 5), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for column, change in enumerate(CHANGES):
        for row in (row for row in rows if row["change"] == change):
            time, old, new = np.array(row["curve"]).T
            axes[0, column].plot(time, 100 * old, label=row["trainer"])
            axes[1, column].plot(time, 100 * new)
        axes[0, column].set_title(f"{change}: on the old", loc="left", fontsize="medium")
        axes[1, column].set_title(f"{change}: on the new", loc="left", fontsize="medium")
        axes[1, column].set_xlabel("windows since the change")
    for axis in axes.flat:
        axis.axvline(0, color="0.5", linewidth=1)
        axis.set_ylabel("balanced accuracy, %")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    drawn.savefig(path, dpi=150)
    plt.close(drawn)


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SEEDS} draws in place of {SEEDS}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the scores over time")
    arguments = parser.parse_args()
    rows = table(QUICK_SEEDS if arguments.quick else SEEDS)
    if arguments.figure:
        figure(rows, arguments.figure)
    print(json.dumps({"rows": rows}) if arguments.json else render(rows))
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
