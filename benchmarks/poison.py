"""What wrong labels do to the live head: refused, or how much balanced accuracy is lost.

    python -m benchmarks.poison [--quick] [--json] [--figure FILE]

Simulated people with known truth (`training.datasets.simulation`) are labelled by five raters, a third of the windows
by two of them. A first head is learned from right labels of 15 people. Then the labels of 15 further people come, wrong
in the way of each scenario, on both sides of the holdout, and go through the trainer's own weights, fit and gate. What
counts is the balanced accuracy on 60 other people, by their true states, against the head that was live before. Promise
S5: refused, or at most 1 point lost. Draws in which right labels give no first head are left out. The first row says
what the same figure is worth: with right labels, too, a single draw may lose a point by chance.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.types import Float32
from trainer_service.candidate import make_candidate
from trainer_service.jobs import Finding
from trainer_service.labels import Opinion
from trainer_service.partition import partition_of
from training.datasets.simulation import TASK, SimulatedStudy
from training.evaluation.gate import figures
from training.trainers.state_heads import TaskHead

SEEDS, QUICK_SEEDS = 20, 3
FIRST, MORE, TEST = 15, 15, 60
ROUNDS = 6
LIMIT = 0.01
RATERS = ("ann", "bob", "cid", "dee", "eve")
SHARED = 1 / 3

Study = SimulatedStudy(people=FIRST + MORE + TEST, blocks=4, windows=6, effect=0.8, affected=12)
Generator = np.random.Generator
Poison = Callable[[list[Opinion], Generator], list[Opinion]]


@dataclass(frozen=True)
class World:
    """One draw of the study.

    Attributes:
        windows: window id -> pooled, float32 [D].
        labels: right ones, in the order in which they come.
        test, truth: float32 [n, D] and bool [n, 2] of people who are never labelled.
    """

    windows: dict[str, Float32]
    labels: list[Opinion]
    test: Float32
    truth: NDArray[np.bool_]

    def fetch(self, held: Sequence[Opinion]) -> Float32:
        """Pooled windows of some opinions."""
        return np.stack([self.windows[opinion.window_id] for opinion in held])

    def score(self, head: TaskHead) -> float:
        """Balanced accuracy on the test people."""
        return figures(self.truth, head.predict(self.test).mean)["balanced_accuracy"]


def draw(seed: int) -> World:
    """A study with right labels."""
    generator = np.random.default_rng(seed)
    drawn = Study.draw(seed)
    pooled, allowed = drawn.pooled(), drawn.allowed[TASK.name]
    number = np.array([int(name[1:]) for name in drawn.people])
    labels = []
    for row in np.flatnonzero(number < FIRST + MORE):
        raters = generator.permutation(RATERS)[: 2 if generator.random() < SHARED else 1]
        person = drawn.people[row]
        labels += [
            Opinion(
                f"{row}", person, person, partition_of(int(number[row]) + 1), float(drawn.elapsed[row]),
                TASK.classes[int(allowed[row, 1])], 1 / len(raters), str(rater),
            )
            for rater in raters
        ]  # fmt: skip
    there = number >= FIRST + MORE
    windows = {f"{row}": pooled[row] for row in np.flatnonzero(~there)}
    return World(windows, labels, pooled[there], allowed[there])


def flipped(opinion: Opinion) -> Opinion:
    """The other class."""
    return replace(opinion, value=TASK.classes[1 - TASK.classes.index(opinion.value)])


def flip(share: float) -> Poison:
    """Each label is wrong with this probability."""
    return lambda labels, generator: [flipped(o) if generator.random() < share else o for o in labels]


def hostile(labels: list[Opinion], generator: Generator) -> list[Opinion]:
    """One of the five raters always says the opposite."""
    return [flipped(o) if o.rater == "eve" else o for o in labels]


def inverted(labels: list[Opinion], generator: Generator) -> list[Opinion]:
    """Somebody has mixed up the classes."""
    return [flipped(o) for o in labels]


def one_class(labels: list[Opinion], generator: Generator) -> list[Opinion]:
    """Everything is called the second class."""
    return [replace(o, value=TASK.classes[1]) for o in labels]


@dataclass(frozen=True)
class Scenario:
    """What goes wrong.

    Attributes:
        poison: what becomes of the labels of the later people.
        rounds: in how many portions they come; the share of wrong ones grows to its full height over them.
        wild: share of the later windows whose features are far outside of all others, and whose labels are wrong.
    """

    poison: Poison
    rounds: int = 1
    wild: float = 0.0


SCENARIOS: dict[str, Scenario] = {
    "right labels": Scenario(flip(0.0)),
    "10 % flipped": Scenario(flip(0.1)),
    "20 % flipped": Scenario(flip(0.2)),
    "30 % flipped": Scenario(flip(0.3)),
    "one hostile rater of five": Scenario(hostile),
    "classes mixed up": Scenario(inverted),
    "one class for all": Scenario(one_class),
    "10 % wild windows, wrongly labelled": Scenario(flip(0.0), wild=0.1),
    "slowly more, up to 30 % flipped": Scenario(flip(0.3), rounds=ROUNDS),
    "slowly more, up to all flipped": Scenario(flip(1.0), rounds=ROUNDS),
}


@dataclass(frozen=True)
class Result:
    """One seed of one scenario: how many candidates were published of how many, and what was lost."""

    published: int
    candidates: int
    before: float
    lost: float
    reasons: tuple[str, ...]


@cache
def begin(seed: int) -> tuple[World, list[Opinion], TaskHead, Finding]:
    """A study, its first labels, and the head that is learned from them."""
    world = draw(seed)
    first = [o for o in world.labels if int(o.participant[1:]) < FIRST]
    return world, first, *make_candidate(TASK, first, world.fetch, None, {})


def play(scenario: Scenario, seed: int) -> Result | None:
    """One study, from its first head to the last poisoned label; None if there is no first head."""
    drawn, first, head, finding = begin(seed)
    if not finding.passed:
        return None
    world, generator = replace(drawn, windows=dict(drawn.windows)), np.random.default_rng((seed, 1))
    later = [o for o in world.labels if int(o.participant[1:]) >= FIRST]
    before, metrics = world.score(head), finding.metrics
    held, reasons, published = list(first), [], 0
    for portion in _portions(later, scenario, generator, world):
        held += portion
        candidate, finding = make_candidate(TASK, held, world.fetch, head, metrics)
        reasons.append(finding.reason)
        if finding.passed:
            published += 1
            head, metrics = candidate, finding.metrics
    return Result(published, len(reasons), before, before - world.score(head), tuple(reasons))


def _portions(later: list[Opinion], scenario: Scenario, generator: Generator, world: World) -> list[list[Opinion]]:
    order = sorted({o.window_id for o in later}, key=int)
    portions = []
    for number, windows in enumerate(np.array_split(generator.permutation(order), scenario.rounds), 1):
        some = [o for o in later if o.window_id in set(windows.tolist())]
        wrong = scenario.poison(some, generator)
        grown = generator.random(len(some)) < number / scenario.rounds
        said = [bad if now else good for good, bad, now in zip(some, wrong, grown, strict=True)]
        wild = {o.window_id for o in some if generator.random() < scenario.wild}
        world.windows.update({window: _wild(world.windows[window], generator) for window in wild})
        portions.append([flipped(o) if o.window_id in wild else o for o in said])
    return portions


def _wild(pooled: Float32, generator: Generator) -> Float32:
    far = generator.normal(0, 1e4, pooled.shape).astype(np.float32)
    return np.where(pooled == 0, pooled, far).astype(np.float32)


def table(seeds: int) -> list[dict[str, Any]]:
    """One row per scenario."""
    rows = []
    for name, scenario in SCENARIOS.items():
        results = [result for seed in range(seeds) if (result := play(scenario, seed))]
        lost = np.array([result.lost for result in results])
        rows.append(
            {
                "scenario": name,
                "seeds": len(results),
                "before": round(float(np.mean([result.before for result in results])), 3),
                "published": sum(result.published for result in results),
                "candidates": sum(result.candidates for result in results),
                "mean_lost": round(float(lost.mean()), 4),
                "worst_lost": round(float(lost.max()), 4),
                "kept": int((lost <= LIMIT).sum()),
            }
        )
    return rows


def render(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a person."""
    lines = [f"{'scenario':38} {'published':>10} {'before':>7} {'lost, mean':>11} {'worst':>7} {'within 1 point':>15}"]
    lines += [
        f"{row['scenario']:38} {row['published']:>4} of {row['candidates']:<3} {row['before']:7.3f} "
        f"{100 * row['mean_lost']:+9.1f} p {100 * row['worst_lost']:+6.1f} {row['kept']:>7} of {row['seeds']}"
        for row in rows
    ]
    return "\n".join(lines)


def figure(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Mean and worst loss per scenario."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    drawn, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    places = np.arange(len(rows))[::-1]
    axes.barh(places, [100 * row["mean_lost"] for row in rows], color="0.7", label="mean of seeds")
    axes.plot([100 * row["worst_lost"] for row in rows], places, "k|", markersize=10, label="worst seed")
    axes.axvline(100 * LIMIT, color="tab:red", linewidth=1, label="promise: at most 1 point")
    axes.set_yticks(places, [f"{row['scenario']} ({row['published']}/{row['candidates']})" for row in rows])
    axes.set_xlabel("points of balanced accuracy lost by the live head")
    axes.set_title("wrong labels (published/candidates)", loc="left", fontsize="medium")
    drawn.legend(loc="outside lower center", ncols=3)
    drawn.savefig(path, dpi=150)
    plt.close(drawn)


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SEEDS} seeds in place of {SEEDS}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    rows = table(QUICK_SEEDS if arguments.quick else SEEDS)
    if arguments.figure:
        figure(rows, arguments.figure)
    print(json.dumps({"limit": LIMIT, "rows": rows}) if arguments.json else render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
