"""What limits a rare state that few labels show: how many of them do, or where the head draws the line.

    python -m benchmarks.label_limits --data FER2013 [--json]

The rare-state stream of `benchmarks.label_streams`, on other seeds than `benchmarks.label_efficiency` reports. The
trainer's fit learns from so many windows with the state and so many without, picked by somebody who knows which is
which, or from windows at random. Scores are on what is held out: balanced accuracy as the head decides; the same at the
best line between the two classes, which only the held-out answers tell; and the area under the ROC curve, which needs
no line. Where the first is far below the second, the head orders windows well and draws the line in the wrong place.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from benchmarks.label_efficiency import learn, score
from benchmarks.label_streams import Maker, Rows, Stream, embed, rare_state

FIRST_SEED, SEEDS = 100, 12
WITH, WITHOUT = (2, 5, 10, 20, 40), (20, 80)
AT_RANDOM = (50, 100, 200)


def draws(stream: Stream, seed: int) -> dict[str, Rows]:
    """Rows to learn from, by what they are called."""
    order = np.random.default_rng(seed).permutation(len(stream))
    there = stream.labels[order] == stream.event
    chosen = {f"{n} at random": order[:n] for n in AT_RANDOM}
    for few in WITH:
        chosen |= {f"{few} with, {n} without": np.append(order[there][:few], order[~there][:n]) for n in WITHOUT}
    return chosen | {"all labels": order}


def scores(stream: Stream, rows: Rows, seed: int) -> tuple[float, float, float]:
    """As the head decides, at the best line, and the area under the curve; chance where one class was not seen."""
    head = learn(stream, rows, seed)
    if head is None:
        return 0.5, 0.5, 0.5
    truth, said = stream.test_labels == stream.event, head.predict(stream.test).mean[:, stream.event]
    false_alarms, hits, _ = roc_curve(truth, said)
    return score(stream, head), float((1 + hits - false_alarms).max() / 2), float(roc_auc_score(truth, said))


def run(make: Maker, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Means over seeds: labels with the state, and the three scores."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in seeds:
        stream = make(seed)
        for name, rows in draws(stream, seed).items():
            shown = float(np.count_nonzero(stream.labels[rows] == stream.event))
            found.setdefault(name, []).append((shown, *scores(stream, rows, seed)))
    return {name: np.mean(values, axis=0).round(3).tolist() for name, values in found.items()}


def render(means: dict[str, list[float]]) -> str:
    """The table for a person."""
    lines = [f"{'labels':22} {'show it':>8} {'as decided':>11} {'best line':>10} {'AUROC':>7}"]
    lines += [
        f"{name:22} {shown:8.1f} {decided:11.3f} {best:10.3f} {area:7.3f}"
        for name, (shown, decided, best, area) in means.items()
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; there is no promise to keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_limits", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--data", type=Path, metavar="FER2013", required=True, help="a file or folder of it")
    options = parser.parse_args(argv)
    means = run(partial(rare_state, *embed(options.data)), range(FIRST_SEED, FIRST_SEED + SEEDS))
    print(json.dumps({"seeds": SEEDS, "rows": means}) if options.json else render(means))
    return 0


if __name__ == "__main__":
    sys.exit(main())
