"""How many labels it takes to reach 95 % of the score that all labels give, for five ways of choosing them.

    python -m benchmarks.label_efficiency [--quick] [--json] [--figure FILE] [--data FER2013] [--swell FILE.csv]

A stream comes in rounds. After each, a rater labels some of the windows that have come so far, and the trainer's own
fit (`training.trainers.state_heads`) learns from all labels. The score is balanced accuracy on faces or people that are
not in the stream. `random` takes any window, `entropy`, `margin` and `mutual information` take those of which the head
is least certain now, among everything that has come. `ours` sees less: the agent's selector decides once, when a window
comes, whether it is sent, and the rater gets what the trainer's queue would show of those: audit, alerting and
uncertain windows in turns, the last by `diverse_batch`, and the neighbours of those in which the event was confirmed.

The streams are in `benchmarks.label_streams`; those whose data are absent are left out and named. Where the target is
not reached, all labels that were offered are counted, and the table says how often. The spread is the standard
deviation over seeds. Where all labels give hardly more than chance, 95 % of that is no target, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_streams import HOP_S, RARE, Floats, Maker, Rows, Stream, makers
from edge_agent.alerts import AlertMachine
from sentry_proto.types import Stratum
from training.active_learning.diversity import diverse_batch
from training.active_learning.neighbours import LATELY, is_rare, starts_around
from training.active_learning.selection import Selector
from training.active_learning.uncertainty import entropy, margin, mutual_information, rank
from training.evaluation.gate import figures
from training.trainers.ensembles import HeadOutput
from training.trainers.state_heads import TaskHead, fit_head

SEEDS, QUICK_SEEDS = 20, 2
ROUNDS = 16
OFFERED = 0.2
"""Share of the stream that is labelled at the end; the labels so far grow with the square of the rounds."""

ENOUGH = 0.95
"""Of the score that all labels give."""

HALF = 0.5
"""Of random's labels are promised to do on the rare state."""

LITTLE = 0.1
"""Where all labels win no more than this over chance, there is hardly anything to learn."""

BUDGET_PER_HOUR = 120.0
"""A sixth of the windows: hours stand for a study's days here, and the default would not let all labels through."""

QUEUE_POOL, JUST_HAD = 200, 20
"""Uncertain windows that the queue compares with one another, and with the last labelled ones."""

WINDOW_S = 30.0

MEASURES: Mapping[str, Callable[[HeadOutput], NDArray[np.floating[Any]]]] = {
    "entropy": lambda said: entropy(said.mean),
    "margin": lambda said: margin(said.mean),
    "mutual information": lambda said: mutual_information(said.members),
}
RANDOM, OURS = "random", "ours"
STRATEGIES = (RANDOM, *MEASURES, OURS)


@dataclass
class Agent:
    """One person's."""

    selector: Selector
    alerts: AlertMachine | None

    def alerting(self, now: float, probability: float | None) -> bool:
        """Whether an alert is on, with this probability of the event; without a head none begins."""
        if self.alerts is None or probability is None:
            return False
        self.alerts.step(now, probability)
        return self.alerts.alerting


@dataclass
class Ours:
    """The selector and the shelf of each person's agent, and the trainer's queue of what they have sent."""

    stream: Stream
    generator: np.random.Generator
    agents: dict[str, Agent] = field(default_factory=dict)
    sent: dict[Stratum, list[int]] = field(default_factory=lambda: {stratum: [] for stratum in Stratum})
    shelf: dict[tuple[str, float], int] = field(default_factory=dict)
    given: list[int] = field(default_factory=list)
    urgency: dict[int, float] = field(default_factory=dict)

    def watch(self, rows: Rows, head: TaskHead | None) -> None:
        """The windows that come in this round go past the agents, under the head that is live."""
        stream = self.stream
        said = head.predict(stream.pooled[rows]) if head else None
        for place, row in enumerate(rows.tolist()):
            now, person = float(stream.times[row]), str(stream.people[row])
            agent = self.agents.setdefault(person, self._agent())
            doubt = None if said is None else float(said.mutual_information[place])
            event = None if said is None or stream.event is None else float(said.mean[place, stream.event])
            alerting = agent.alerting(now, event)
            stratum = agent.selector.decide(now, doubt, alerting, person, stream.looks[row]).stratum
            self.urgency[row] = 0.0 if said is None else float(said.entropy[place])
            if stratum is not None:
                self.sent[stratum].append(row)
            else:
                self.shelf[person, now] = row

    def _agent(self) -> Agent:
        alert = self.stream.task.alert
        selector = Selector(self.generator, budget_per_hour=BUDGET_PER_HOUR, hop_s=HOP_S)
        return Agent(selector, AlertMachine(alert) if alert else None)

    def ask(self, count: int) -> list[int]:
        """What the queue shows to a rater who labels one window after the other; fewer when it is empty."""
        asked: list[int] = []
        while len(asked) < count and (row := self._first()) is not None:
            asked.append(row)
            self.given.append(row)
            lately = self.stream.labels[self.given[-LATELY:]] == self.stream.event
            if lately[-1] and is_rare(int(lately.sum()), len(lately)):
                self._fetch_around(row)
        return asked

    def _first(self) -> int | None:
        """Strata in turns, the uncertain ones by entropy and diversity, others newest first."""
        known, strata, turn = set(self.given), list(self.sent), len(self.given) % len(self.sent)
        for stratum in strata[turn:] + strata[:turn]:
            waiting = [row for row in reversed(self.sent[stratum]) if row not in known]
            if waiting:
                return self._most_varied(waiting) if stratum is Stratum.UNCERTAIN else waiting[0]
        return None

    def _most_varied(self, waiting: list[int]) -> int:
        pool = sorted(waiting, key=lambda row: -self.urgency[row])[:QUEUE_POOL]
        urgency, had = np.array([self.urgency[row] for row in pool]), self.given[: -JUST_HAD - 1 : -1]
        looks, people = self.stream.looks, self.stream.people
        return pool[int(diverse_batch(urgency, looks[pool], 1, people[pool], (looks[had], people[had]))[0])]

    def _fetch_around(self, row: int) -> None:
        """The windows beside one in which the event was confirmed, if the agent has passed them over."""
        person, start = str(self.stream.people[row]), float(self.stream.times[row])
        for near in starts_around(start, start + WINDOW_S):
            if (person, near) in self.shelf:
                self.sent[Stratum.NEIGHBOUR].append(self.shelf.pop((person, near)))


@dataclass(frozen=True)
class Curve:
    """Labels so far, int [ROUNDS], and the score that the head learned from them has, float [ROUNDS]."""

    labels: NDArray[np.int64]
    scores: Floats


def play(stream: Stream, strategy: str, seed: int) -> Curve:
    """One stream from its first window to its last."""
    generator = np.random.default_rng((seed, STRATEGIES.index(strategy)))
    ours = Ours(stream, generator)
    labelled: list[int] = []
    head: TaskHead | None = None
    counts, scores = [], []
    total = OFFERED * len(stream)
    for number, come in enumerate(np.array_split(np.arange(len(stream)), ROUNDS), 1):
        wanted = max(0, round(total * (number / ROUNDS) ** 2) - len(labelled))
        if strategy == OURS:
            ours.watch(come, head)
            labelled += ours.ask(wanted)
        else:
            waiting = np.setdiff1d(np.arange(int(come[-1]) + 1), labelled)
            labelled += _take(stream, strategy, head, generator.permutation(waiting), wanted)
        head = learn(stream, np.array(labelled, np.int64), seed)
        counts.append(len(labelled))
        scores.append(score(stream, head))
    return Curve(np.array(counts), np.array(scores))


def _take(stream: Stream, strategy: str, head: TaskHead | None, waiting: Rows, count: int) -> list[int]:
    """Rows in any order -> those to label; equal doubt is broken by that order."""
    if strategy != RANDOM and head is not None:
        waiting = waiting[rank(MEASURES[strategy](head.predict(stream.pooled[waiting])))]
    return [int(row) for row in waiting[:count]]


def learn(stream: Stream, rows: Rows, seed: int) -> TaskHead | None:
    """The trainer's fit on these windows; None before two classes were seen."""
    if len(np.unique(stream.labels[rows])) < 2:
        return None
    allowed = np.eye(len(stream.task.classes), dtype=np.bool_)[stream.labels[rows]]
    groups = stream.groups[rows].tolist()
    return fit_head(
        stream.task, stream.pooled[rows], allowed, np.ones(len(rows)), groups, seed=seed, space=stream.space
    )


def score(stream: Stream, head: TaskHead | None) -> float:
    """Balanced accuracy on what is held out; chance without a head."""
    classes = len(stream.task.classes)
    if head is None:
        return 1 / classes
    truth = np.eye(classes, dtype=np.bool_)[stream.test_labels]
    return float(figures(truth, head.predict(stream.test).mean)["balanced_accuracy"])


def labels_needed(curve: Curve, target: float, offered: int) -> tuple[float, bool]:
    """Where the curve reaches the target and is still there a round later, on the straight line between two rounds.

    A single round may be above it by luck.

    Returns:
        Labels, and whether it was reached; `offered` if it was not.
    """
    above = curve.scores >= target
    reached = np.flatnonzero(above & np.append(above[1:], True))
    if not len(reached):
        return float(offered), False
    at = int(reached[0])
    if at == 0:
        return float(curve.labels[0]), True
    (low, high), (before, after) = curve.scores[at - 1 : at + 1], curve.labels[at - 1 : at + 1]
    return float(before + (after - before) * (target - low) / (high - low)), True


def run(make: Maker, seeds: int) -> dict[str, Any]:
    """All strategies on a stream that is drawn anew for each seed."""
    needed: dict[str, list[tuple[float, bool]]] = {name: [] for name in STRATEGIES}
    curves: dict[str, list[Floats]] = {name: [] for name in STRATEGIES}
    best, chance, offered = [], 0.0, 0
    for seed in range(seeds):
        stream = make(seed)
        offered, chance = round(OFFERED * len(stream)), 1 / len(stream.task.classes)
        best.append(score(stream, learn(stream, np.arange(len(stream)), seed)))
        for name in STRATEGIES:
            curve = play(stream, name, seed)
            needed[name].append(labels_needed(curve, ENOUGH * best[-1], offered))
            shares = np.linspace(0, 1, ROUNDS + 1) ** 2
            curves[name].append(np.interp(shares, curve.labels / offered, curve.scores, left=chance))
    return {
        "all_labels": round(float(np.mean(best)), 3),
        "chance": round(chance, 3),
        "hardly_learnable": bool(np.mean(best) - chance < LITTLE),
        "windows": len(stream),
        "offered": offered,
        "strategies": {name: _summary(found) for name, found in needed.items()},
        "curves": {name: np.mean(found, axis=0).round(4).tolist() for name, found in curves.items()},
    }


def _summary(found: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    labels = np.array([count for count, _ in found])
    return {
        "labels": round(float(labels.mean()), 1),
        "median": round(float(np.median(labels)), 1),
        "spread": round(float(labels.std(ddof=1)) if len(labels) > 1 else 0.0, 1),
        "reached": sum(reached for _, reached in found),
        "seeds": len(found),
    }


def judge(streams: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Ours against random: its share of the labels on the rare state, None without it, and where it is worse."""
    means = {name: found["strategies"] for name, found in streams.items()}
    share = means[RARE][OURS]["labels"] / means[RARE][RANDOM]["labels"] if RARE in means else None
    worse = [n for n, by in means.items() if by[OURS]["labels"] - by[RANDOM]["labels"] > by[RANDOM]["spread"]]
    rows = [means[RARE][name] for name in (RANDOM, OURS)] if RARE in means else []
    return {
        "always_reached": all(row["reached"] == row["seeds"] for row in rows),
        "share_on_rare_state": None if share is None else round(share, 3),
        "at_most_half": None if share is None else share <= HALF,
        "worse_than_random": worse,
    }


def kept(verdict: Mapping[str, Any]) -> bool:
    """Whether both promises hold; a stream that was not played keeps none."""
    return bool(verdict["at_most_half"]) and not verdict["worse_than_random"]


def render(streams: Mapping[str, Mapping[str, Any]], absent: Mapping[str, str], verdict: Mapping[str, Any]) -> str:
    """The tables for a person."""
    lines = []
    for name, found in streams.items():
        doubt = ", hardly more than chance: what follows says little" if found["hardly_learnable"] else ""
        scores = f"all labels give {found['all_labels']:.3f}, chance {found['chance']:.3f}{doubt}"
        lines.append(f"{name}: {found['windows']} windows; {scores}")
        lines.append(f"  {'strategy':20} {'labels':>7} {'spread':>7} {'median':>7} {'reached':>9}")
        lines += [
            f"  {strategy:20} {row['labels']:7.1f} {row['spread']:7.1f} {row['median']:7.1f} "
            f"{row['reached']:3} of {row['seeds']}"
            for strategy, row in found["strategies"].items()
        ]
    lines += [f"left out: {name}: {why}" for name, why in absent.items()]
    return "\n".join([*lines, "", *_verdict(verdict)])


def _verdict(verdict: Mapping[str, Any]) -> list[str]:
    share, worse = verdict["share_on_rare_state"], verdict["worse_than_random"]
    if share is None:
        first = "rare state: not played, so nothing is shown"
    else:
        word = "kept" if verdict["at_most_half"] else "MISSED"
        first = f"rare state: ours needs {100 * share:.0f} % of random's labels; at most 50 % was promised: {word}"
        if not verdict["always_reached"]:
            first += " (not the true share: not all seeds of both reached the target)"
    where = f"worse on {', '.join(worse)}: MISSED" if worse else "nowhere worse: kept"
    return [first, f"ours against random, by more than random's spread: {where}"]


def draw(streams: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Mean score by labels, one panel per stream."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a figure is wanted

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(streams), figsize=(3.6 * len(streams), 3.4), layout="constrained", squeeze=False)
    for axis, (name, found) in zip(axes[0], streams.items(), strict=True):
        for strategy, scores in found["curves"].items():
            labels = found["offered"] * np.linspace(0, 1, len(scores)) ** 2
            axis.plot(labels, scores, label=strategy, lw=2 if strategy == OURS else 1)
        axis.axhline(ENOUGH * found["all_labels"], color="0.5", lw=1, ls=":")
        axis.set_title(name, fontsize="medium", loc="left")
        axis.set_xlabel("labels")
    axes[0, 0].set_ylabel("balanced accuracy")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STRATEGIES))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Play all streams; the exit code says whether both promises hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.label_efficiency", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SEEDS} seeds in place of {SEEDS}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw score by labels")
    parser.add_argument("--data", type=Path, metavar="FER2013", help="a file or folder of it")
    parser.add_argument("--swell", type=Path, metavar="FILE.csv", help="SWELL-KW, per minute")
    options = parser.parse_args(argv)
    seeds = QUICK_SEEDS if options.quick else SEEDS
    found, absent = makers(options.data, options.swell)
    streams = {name: run(make, seeds) for name, make in found.items()}
    verdict = judge(streams)
    if options.figure:
        draw(streams, options.figure)
    everything = {"seeds": seeds, "streams": streams, "left_out": absent, **verdict, "kept": kept(verdict)}
    print(json.dumps(everything) if options.json else render(streams, absent, verdict))
    return 0 if kept(verdict) else 1


if __name__ == "__main__":
    sys.exit(main())
