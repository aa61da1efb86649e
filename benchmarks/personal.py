"""What a personal offset is worth: how many people get one, and what it changes for them, by number of labels.

    python -m benchmarks.personal [--quick] [--json]

Simulated people whose state (calm, mildly stressed, stressed) lasts for some minutes. A window shows the state with
noise of its own and with a mood that lasts as long as the state. The generic head is Bayes' rule for people without
any bias; each person's signal is off by a bias, drawn with standard deviation `bias` in units of the distance between
two neighbouring states. One window a minute is labelled. The offset and the decision to use it come from the trainer's
own rule (`training.evaluation.personal`), and are judged on the same person's later windows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import STRESS
from training.active_learning.personal import shift
from training.evaluation.gate import figures
from training.evaluation.personal import PersonWindows, judge_offset

PEOPLE, QUICK_PEOPLE = 200, 60
BIASES = (0.0, 0.5, 1.0, 1.5)
LABELS = (30, 60, 120)
LATER = 2_000
MINUTES_OF_A_STATE = 5
NOISE, MOOD = 0.6, 0.4

Generator = np.random.Generator
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Person:
    """One window a minute.

    Attributes:
        states: int [N].
        generic: float [N, 3].
    """

    states: NDArray[np.int64]
    generic: Floats


def person(bias: float, minutes: int, generator: Generator) -> Person:
    """Somebody whose signal is off by `bias`."""
    bout = np.cumsum(generator.random(minutes) < 1 / MINUTES_OF_A_STATE)
    states = generator.integers(len(STRESS.classes), size=bout[-1] + 1)[bout]
    mood = generator.normal(0, MOOD, bout[-1] + 1)[bout]
    signal = states + bias + mood + generator.normal(0, NOISE, minutes)
    likelihood = -((signal[:, None] - np.arange(len(STRESS.classes))) ** 2) / (2 * (NOISE**2 + MOOD**2))
    return Person(states, shift(np.ones_like(likelihood), likelihood))


def play(bias: float, labels: int, generator: Generator) -> dict[str, Any]:
    """One person: whether an offset is used, and balanced accuracies on what comes later."""
    drawn = person(generator.normal(0, bias), labels + LATER, generator)
    starts = 60.0 * np.arange(labels)
    allowed = np.eye(len(STRESS.classes), dtype=bool)[drawn.states]
    seen = PersonWindows(allowed[:labels], drawn.generic[:labels], np.ones(labels), starts, starts + 30, ["s"] * labels)
    found = judge_offset(STRESS, seen)
    later, truth = drawn.generic[labels:], allowed[labels:]
    with_offset = figures(truth, shift(later, found.logits))
    generic = figures(truth, later)
    return {"used": found.used, "generic": generic, "personal": with_offset if found.used else generic}


def summarise(bias: float, labels: int, played: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over people, in points."""
    accuracy, brier = (
        np.array([[one[head][what] for head in ("generic", "personal")] for one in played])
        for what in ("balanced_accuracy", "brier")
    )
    used = np.array([one["used"] for one in played])
    gained = 100 * (accuracy[:, 1] - accuracy[:, 0])
    better = brier[:, 1] < brier[:, 0]
    return {
        "bias": bias,
        "labels": labels,
        "people": len(played),
        "used": int(used.sum()),
        "helped": int(better[used].sum()),
        "generic": round(100 * float(accuracy[:, 0].mean()), 1),
        "personal": round(100 * float(accuracy[:, 1].mean()), 1),
        "gain_where_used": round(float(gained[used].mean()), 1) if used.any() else None,
        "worst": round(float(gained.min()), 1),
    }


def table(people: int) -> list[dict[str, Any]]:
    """One row per bias and number of labels."""
    rows = []
    for bias in BIASES:
        for labels in LABELS:
            generator = np.random.default_rng([int(10 * bias), labels])
            rows.append(summarise(bias, labels, [play(bias, labels, generator) for _ in range(people)]))
    return rows


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a person: balanced accuracies on later windows, in percent."""
    titles = ["bias", "labels", "offset used", "of these better in Brier score", "generic", "personal where used"]
    titles += ["gain where used", "worst person"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in rows:
        gain = "-" if row["gain_where_used"] is None else f"{row['gain_where_used']:+.1f}"
        cells = [f"{row['bias']:.1f}", str(row["labels"]), f"{row['used']} of {row['people']}"]
        cells += [f"{row['helped']} of {row['used']}", f"{row['generic']:.1f}", f"{row['personal']:.1f}"]
        lines.append(f"| {' | '.join([*cells, gain])} | {row['worst']:+.1f} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PEOPLE} people in place of {PEOPLE}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rows = table(QUICK_PEOPLE if arguments.quick else PEOPLE)
    print(json.dumps({"rows": rows}) if arguments.json else render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
