"""The same streams through what people use otherwise: score per label, and seconds until a new label counts.

    python -m benchmarks.baselines [--quick] [--json] [--figure FILE] [--data FER2013]

River's online learners take one label after the other. Scikit-learn's logistic regression is fitted from scratch on all
labels at each round; with `least confident` and with a `committee` of bootstrapped regressions it also says which
windows to label next, as modAL and scikit-activeml do. `Sentry` is the trainer's own fit, on windows at random and on
those that its selector and queue ask for. Streams, rounds and labels are those of `benchmarks.label_efficiency`, the
score is balanced accuracy on windows held out, at most `JUDGED` of them, and all online learners and random fits of a
seed get the same labels in the same order. Seconds per update are those of one label online and of one fit on all
labels at the end, on one core. Means over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from river import forest, linear_model, multiclass, preprocessing, tree
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.label_efficiency import OFFERED, ROUNDS, Ours, learn
from benchmarks.label_streams import Floats, Rows, Stream, makers
from sentry_proto.types import Float32
from training.active_learning.uncertainty import entropy, least_confidence, rank
from training.evaluation.gate import figures
from training.trainers.state_heads import TaskHead

SEEDS, QUICK_SEEDS = 5, 1
JUDGED = 500
SHOWN = (4, 8, 12, 16)
"""Rounds whose score is shown: 1/16, 1/4, 9/16 and all of the labels."""

COMMITTEE = 5

Generator = np.random.Generator


class Learner(Protocol):
    """What learns from a stream's labels."""

    def update(self, new: Rows, labelled: Rows) -> float:
        """Learn from the new ones of all labelled rows; seconds for one update."""

    def probabilities(self, windows: Float32) -> Floats:
        """Of the classes: [n, D] -> [n, C]."""

    def query(self, waiting: Rows) -> Rows:
        """The rows in the order in which to label them; they come in random order."""


class Online:
    """One of river's classifiers."""

    def __init__(self, stream: Stream, make: Callable[[int], Any], seed: int) -> None:
        self._stream, self._model = stream, make(seed)

    def update(self, new: Rows, labelled: Rows) -> float:
        """See `Learner`."""
        started = time.perf_counter()
        for row in new:
            self._model.learn_one(_features(self._stream.pooled[row]), int(self._stream.labels[row]))
        return (time.perf_counter() - started) / max(len(new), 1)

    def probabilities(self, windows: Float32) -> Floats:
        """See `Learner`."""
        said = [self._model.predict_proba_one(_features(window)) for window in windows]
        classes = range(len(self._stream.task.classes))
        return np.array([[one.get(c, 0.0) for c in classes] for one in said])

    def query(self, waiting: Rows) -> Rows:
        """See `Learner`."""
        return waiting


def _features(window: Float32) -> dict[int, float]:
    return dict(enumerate(window.tolist()))


RIVER: Mapping[str, Callable[[int], Any]] = {
    "river logistic regression": lambda seed: (
        preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    ),
    "river Hoeffding tree": lambda seed: tree.HoeffdingAdaptiveTreeClassifier(seed=seed),
    "river adaptive random forest": lambda seed: forest.ARFClassifier(seed=seed),
}


class FromScratch:
    """Scikit-learn's logistic regressions, which may say what to label next."""

    def __init__(self, stream: Stream, members: int, seed: int, asks: bool) -> None:
        self._stream, self._asks, self._members = stream, asks, members
        self._generator = np.random.default_rng(seed)
        self._models: list[Any] = []

    def update(self, new: Rows, labelled: Rows) -> float:
        """See `Learner`."""
        started = time.perf_counter()
        samples = [labelled]
        if self._members > 1:
            samples = [self._generator.choice(labelled, len(labelled)) for _ in range(self._members)]
        self._models = [self._fit(rows) for rows in samples if len(np.unique(self._stream.labels[rows])) > 1]
        return time.perf_counter() - started

    def _fit(self, rows: Rows) -> Any:
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2_000))
        return model.fit(self._stream.pooled[rows], self._stream.labels[rows])

    def probabilities(self, windows: Float32) -> Floats:
        """See `Learner`."""
        classes = len(self._stream.task.classes)
        if not self._models:
            return np.full((len(windows), classes), 1 / classes)
        total = np.zeros((len(windows), classes))
        for model in self._models:
            total[:, model.classes_] += model.predict_proba(windows)
        return total / len(self._models)

    def query(self, waiting: Rows) -> Rows:
        """See `Learner`: the least confident, or with a committee the consensus with the highest entropy."""
        if not self._asks or not self._models:
            return waiting
        measure = entropy if self._members > 1 else least_confidence
        return waiting[rank(measure(self.probabilities(self._stream.pooled[waiting])))]


class Sentry:
    """The trainer's own fit."""

    def __init__(self, stream: Stream, seed: int) -> None:
        self._stream, self._seed = stream, seed
        self.head: TaskHead | None = None

    def update(self, new: Rows, labelled: Rows) -> float:
        """See `Learner`."""
        started = time.perf_counter()
        self.head = learn(self._stream, labelled, self._seed)
        return time.perf_counter() - started

    def probabilities(self, windows: Float32) -> Floats:
        """See `Learner`."""
        classes = len(self._stream.task.classes)
        if self.head is None:
            return np.full((len(windows), classes), 1 / classes)
        return self.head.predict(windows).mean.astype(np.float64)

    def query(self, waiting: Rows) -> Rows:
        """See `Learner`."""
        return waiting


SENTRY, SENTRY_ASKS = "Sentry, windows at random", "Sentry, its own selection"
NAMES = (
    *RIVER,
    "scikit-learn, from scratch",
    "scikit-learn, least confident",
    "scikit-learn, committee",
    SENTRY,
    SENTRY_ASKS,
)


def learner(name: str, stream: Stream, seed: int) -> Learner:
    """One of `NAMES`, which has seen nothing yet."""
    if name in RIVER:
        return Online(stream, RIVER[name], seed)
    if name in (SENTRY, SENTRY_ASKS):
        return Sentry(stream, seed)
    return FromScratch(stream, COMMITTEE if "committee" in name else 1, seed, "scratch" not in name)


def play(name: str, stream: Stream, seed: int) -> tuple[list[int], list[float], float]:
    """Labels and scores at the rounds `SHOWN`, and the seconds of the last update."""
    generator = np.random.default_rng(seed)
    judged = generator.permutation(len(stream.test))[:JUDGED]
    model = learner(name, stream, seed)
    ours = Ours(stream, generator) if isinstance(model, Sentry) and name == SENTRY_ASKS else None
    labelled: list[int] = []
    counts, scores, seconds = [], [], 0.0
    for number, come in enumerate(np.array_split(np.arange(len(stream)), ROUNDS), 1):
        wanted = max(0, round(OFFERED * len(stream) * (number / ROUNDS) ** 2) - len(labelled))
        if ours is not None and isinstance(model, Sentry):
            ours.watch(come, model.head)
            new = ours.ask(wanted)
        else:
            waiting = generator.permutation(np.setdiff1d(np.arange(int(come[-1]) + 1), labelled))
            new = [int(row) for row in model.query(waiting)[:wanted]]
        labelled += new
        seconds = model.update(np.array(new, np.int64), np.array(labelled, np.int64))
        if number in SHOWN:
            counts.append(len(labelled))
            scores.append(_score(stream, model, judged))
    return counts, scores, seconds


def _score(stream: Stream, model: Learner, judged: Rows) -> float:
    truth: NDArray[np.bool_] = np.eye(len(stream.task.classes), dtype=np.bool_)[stream.test_labels[judged]]
    return float(figures(truth, model.probabilities(stream.test[judged]))["balanced_accuracy"])


def run(make: Callable[[int], Stream], seeds: int) -> list[dict[str, Any]]:
    """One row per learner."""
    streams = [make(seed) for seed in range(seeds)]
    rows = []
    for name in NAMES:
        played = [play(name, stream, seed) for seed, stream in enumerate(streams)]
        scores = np.array([found[1] for found in played])
        rows.append(
            {
                "learner": name,
                "labels": [round(float(n), 1) for n in np.mean([found[0] for found in played], axis=0)],
                "scores": scores.mean(0).round(3).tolist(),
                "spread": scores.std(0, ddof=1).round(3).tolist() if seeds > 1 else None,
                "seconds": round(float(np.mean([found[2] for found in played])), 5),
            }
        )
    return rows


def render(streams: Mapping[str, Sequence[Mapping[str, Any]]], absent: Mapping[str, str]) -> str:
    """The tables for a person."""
    lines = []
    for name, rows in streams.items():
        head = " ".join(f"{f'{count:.0f} labels':>11}" for count in rows[0]["labels"])
        lines.append(f"{name:31} {head} {'ms an update':>13}")
        for row in rows:
            scores = " ".join(f"{score:11.3f}" for score in row["scores"])
            fewer = f"  ({row['labels'][-1]:.0f} labels at the end)" if row["labels"] != rows[0]["labels"] else ""
            lines.append(f"  {row['learner']:29} {scores} {1000 * row['seconds']:13.2f}{fewer}")
    return "\n".join([*lines, *(f"left out: {name}: {why}" for name, why in absent.items())])


def draw(streams: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Score by labels, one panel per stream."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a figure is wanted

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(streams), figsize=(4 * len(streams), 4), layout="constrained", squeeze=False)
    for axis, (name, rows) in zip(axes[0], streams.items(), strict=True):
        for row in rows:
            axis.plot(row["labels"], row["scores"], "-o", ms=3, label=row["learner"])
        axis.set_title(name, fontsize="medium", loc="left")
        axis.set_xlabel("labels")
    axes[0, 0].set_ylabel("balanced accuracy")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SEEDS} seed in place of {SEEDS}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw score by labels")
    parser.add_argument("--data", type=Path, metavar="FER2013", help="a file or folder of it")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    seeds = QUICK_SEEDS if options.quick else SEEDS
    found, absent = makers(options.data, None)
    absent.pop("SWELL-KW")  # all labels of it give hardly more than chance: there is nothing to compare
    streams = {name: run(make, seeds) for name, make in found.items()}
    if options.figure:
        draw(streams, options.figure)
    everything = {"seeds": seeds, "streams": streams, "left_out": absent}
    print(json.dumps(everything) if options.json else render(streams, absent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
