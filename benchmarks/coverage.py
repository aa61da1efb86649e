"""Whether the 95 % intervals of the error rates hold the truth, and how far off a naive rate is.

    python -m benchmarks.coverage [--quick] [--json] [--figure FILE]

A deployment is a person watched for hours: the event comes and goes in bouts, and the head gives a calibrated
probability of it with noise that lasts for minutes. The agent's own alert rule raises alerts, the agent's own selector
decides what is sent, a rater judges all alerts, some alerting windows and some audit windows, and the trainer's own
estimator says how often the head erred. Every window's truth is known. The naive miss rate takes the windows that were
sent for being uncertain as if they were a sample of all quiet ones.

Rates are held against what happened among all windows of that deployment; false alarms per hour against the mean over
all deployments of its kind. Deployments in which the estimator says "not enough labels yet" are left out and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.alerts import AlertMachine, Change
from sentry_proto.tasks import AlertRule
from sentry_proto.types import Stratum
from training.active_learning.selection import Selector
from training.evaluation.rates import AlertCounts, JudgedWindows, Rate, TaskCounts, estimate_rates

DEPLOYMENTS, QUICK_DEPLOYMENTS = 1_000, 160
HOP_S = 5.0
CLUSTER_WINDOWS = 12
"""Windows of one minute, which the trainer counts as one cluster."""

SHARES = ("false_positive_rate", "miss_rate", "false_discovery_share")
PER_HOUR = "false_alarms_per_hour"
NAIVE = "naive_miss_rate"
LEAST_COVERAGE, MOST_BIAS = 0.93, 0.01

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class World:
    """A kind of deployment.

    Attributes:
        prevalence: share of the time in which the event is there.
        skill: how far apart the head's logits lie, in standard deviations.
        threshold: from which probability on an alert is raised.
        hours: watched.
        audit: audit probability.
        audited, alerting: most judged windows of either kind.
        bout_s: mean length of a bout.
        memory: correlation of the head's noise from one window to the next.
    """

    prevalence: float
    skill: float
    threshold: float
    hours: float = 24.0
    audit: float = 0.05
    audited: int = 400
    alerting: int = 150
    bout_s: float = 180.0
    memory: float = 0.8

    @property
    def rule(self) -> AlertRule:
        """With the defaults' hysteresis, duration and cooldown."""
        return AlertRule(("event",), self.threshold, min(0.4, self.threshold))


WORLDS: Mapping[str, World] = {
    "ordinary": World(0.15, 2.0, 0.6),
    "rare event": World(0.05, 2.5, 0.6, hours=40.0),
    "many false alarms": World(0.2, 1.2, 0.4),
    "good head": World(0.3, 3.0, 0.6),
    "few labels": World(0.25, 2.0, 0.6, hours=12.0, audited=80, alerting=40),
}


@dataclass(frozen=True)
class Deployment:
    """What happened, window by window.

    Attributes:
        event, alerting: bool [N].
        probability: float [N], of the event, calibrated.
        raised: int [alerts], the windows that raised one.
        strata: what each window was sent as, None for not sent.
    """

    event: Flags
    alerting: Flags
    probability: Floats
    raised: NDArray[np.int64]
    strata: Sequence[Stratum | None]

    @property
    def hours(self) -> float:
        """Watched."""
        return len(self.event) * HOP_S / 3600

    def sent_as(self, stratum: Stratum) -> Flags:
        """Which windows, bool [N]."""
        return np.array([one is stratum for one in self.strata])


def deploy(world: World, generator: Generator) -> Deployment:
    """Simulate one deployment of a kind."""
    event, probability = _head(world, generator)
    alerting, raised = replay(world.rule, probability)
    selector = Selector(generator, audit_probability=world.audit)
    doubt = 1 - np.abs(2 * probability - 1)
    strata = [selector.decide(HOP_S * i, float(doubt[i]), bool(alerting[i])).stratum for i in range(len(event))]
    return Deployment(event, alerting, probability, raised, strata)


def _head(world: World, generator: Generator) -> tuple[Flags, Floats]:
    """The event, a chain of bouts, and its probability given one noisy look, by Bayes' rule."""
    count = round(world.hours * 3600 / HOP_S)
    leave = HOP_S / world.bout_s
    enter = leave * world.prevalence / (1 - world.prevalence)
    draws, noise = generator.random(count), generator.normal(size=count)
    event, drift = np.zeros(count, bool), np.zeros(count)
    there, value = bool(generator.random() < world.prevalence), float(generator.normal())
    fresh = (1 - world.memory**2) ** 0.5
    for i in range(count):
        there = bool(draws[i] >= leave) if there else bool(draws[i] < enter)
        value = world.memory * value + fresh * noise[i]
        event[i], drift[i] = there, value
    prior = np.log(world.prevalence / (1 - world.prevalence))
    logit = prior + world.skill * (drift + world.skill * (event - 0.5))
    return event, 1 / (1 + np.exp(-logit))


def replay(rule: AlertRule, probability: Floats) -> tuple[Flags, NDArray[np.int64]]:
    """Where the agent's alert rule is on, bool [N], and which windows raise an alert."""
    machine = AlertMachine(rule)
    alerting, raised = np.zeros(len(probability), bool), []
    for i, value in enumerate(probability):
        if machine.step(HOP_S * i, float(value)) is Change.RAISED:
            raised.append(i)
        alerting[i] = machine.alerting
    return alerting, np.array(raised, np.int64)


def some(where: Flags, most: int, generator: Generator) -> NDArray[np.int64]:
    """Rows of at most so many of these windows, at random."""
    return np.sort(generator.permutation(np.flatnonzero(where))[:most])


def _sample(found: Deployment, rows: NDArray[np.int64]) -> JudgedWindows:
    return JudgedWindows(found.event[rows], clusters=[str(row // CLUSTER_WINDOWS) for row in rows])


def estimate(world: World, found: Deployment, generator: Generator, seed: int) -> tuple[dict[str, Rate], Rate]:
    """All rates as the trainer estimates them, and the naive miss rate."""
    alerting = _sample(found, some(found.alerting, world.alerting, generator))
    audited = some(found.sent_as(Stratum.AUDIT) & ~found.alerting, world.audited, generator)
    uncertain = some(found.sent_as(Stratum.UNCERTAIN), len(audited), generator)
    counts = TaskCounts(int(found.alerting.sum()), int((~found.alerting).sum()), found.hours)
    true = int(found.event[found.raised].sum())
    alerts = AlertCounts(len(found.raised), true, len(found.raised) - true)
    rates = estimate_rates(counts, alerting, _sample(found, audited), alerts, seed)
    naive = estimate_rates(counts, alerting, _sample(found, uncertain), alerts, seed)
    return vars(rates), naive.miss_rate


def truth(found: Deployment) -> dict[str, float]:
    """What really happened; `PER_HOUR` in this deployment alone."""
    event, alerting = found.event, found.alerting

    def share(of: Flags, among: Flags) -> float:
        return float(of[among].mean()) if among.any() else float("nan")

    return {
        "false_positive_rate": share(alerting, ~event),
        "miss_rate": share(~alerting, event),
        "false_discovery_share": share(~event, alerting),
        PER_HOUR: float((~event[found.raised]).sum()) / found.hours,
    }


def run(world: World, deployments: int, seed: int = 0) -> list[dict[str, Any]]:
    """One row per rate: deployments with an estimate, coverage, bias, mean truth and mean width."""
    generator = np.random.default_rng(seed)
    rates: defaultdict[str, list[Rate]] = defaultdict(list)
    truths: defaultdict[str, list[float]] = defaultdict(list)
    for study in range(deployments):
        found = deploy(world, generator)
        true = truth(found)
        estimated, naive = estimate(world, found, generator, study)
        for name, rate in {**estimated, NAIVE: naive}.items():
            rates[name].append(rate)
            truths[name].append(true["miss_rate" if name == NAIVE else name])
    truths[PER_HOUR] = [float(np.mean(truths[PER_HOUR]))] * deployments
    return [_summary(name, rates[name], truths[name]) for name in (*SHARES, PER_HOUR, NAIVE)]


def _summary(name: str, rates: Sequence[Rate], truths: Sequence[float]) -> dict[str, Any]:
    known = [
        (rate.value, rate.low, rate.high, true)
        for rate, true in zip(rates, truths, strict=True)
        if rate.value is not None and rate.low is not None and rate.high is not None and np.isfinite(true)
    ]
    value, low, high, true = np.array(known, float).reshape(len(known), 4).T
    return {
        "rate": name,
        "deployments": len(known),
        "without": len(rates) - len(known),
        "coverage": float(np.mean((low <= true) & (true <= high))) if known else None,
        "bias": float(np.mean(value - true)) if known else None,
        "truth": float(np.mean(true)) if known else None,
        "width": float(np.mean(high - low)) if known else None,
    }


def summarise(worlds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Over all deployments: coverage and bias, the worst of any kind of deployment, and what the naive rate does."""
    honest = [row for rows in worlds.values() for row in rows if row["rate"] != NAIVE and row["deployments"]]
    naive = [row for rows in worlds.values() for row in rows if row["rate"] == NAIVE and row["deployments"]]
    return {
        "coverage": {name: _pooled(honest, name, "coverage") for name in (*SHARES, PER_HOUR)},
        "bias": {name: _pooled(honest, name, "bias") for name in SHARES},
        "lowest_coverage": min(row["coverage"] for row in honest),
        "largest_bias": max(abs(row["bias"]) for row in honest if row["rate"] in SHARES),
        "naive_bias": max((row["bias"] for row in naive), key=abs, default=None),
        "naive_coverage": min((row["coverage"] for row in naive), default=None),
    }


def _pooled(rows: Sequence[Mapping[str, Any]], name: str, figure: str) -> float:
    """Mean over all deployments, whatever their kind."""
    chosen = [row for row in rows if row["rate"] == name]
    return float(np.average([row[figure] for row in chosen], weights=[row["deployments"] for row in chosen]))


def kept(found: Mapping[str, Any]) -> bool:
    """Whether the targets are met over all deployments."""
    biases = map(abs, found["bias"].values())
    return bool(min(found["coverage"].values()) >= LEAST_COVERAGE and max(biases) < MOST_BIAS)


def table(worlds: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Markdown."""
    lines = ["| deployments | rate | n | too few labels | truth | coverage | bias | width |", "|" + "---|" * 8]
    for name, rows in worlds.items():
        for row in rows:
            if not row["deployments"]:
                lines.append(f"| {name} | {row['rate']} | 0 | {row['without']} | - | - | - | - |")
                continue
            unit = 1 if row["rate"] == PER_HOUR else 100
            figures = [f"{unit * row['truth']:.1f}", f"{100 * row['coverage']:.1f} %", f"{unit * row['bias']:+.2f}"]
            counts = [str(row["deployments"]), str(row["without"])]
            cells = " | ".join([name, row["rate"], *counts, *figures, f"{unit * row['width']:.1f}"])
            lines.append(f"| {cells} |")
    return "\n".join(lines)


def draw(worlds: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Coverage of every rate in every kind of deployment."""
    import matplotlib as mpl  # noqa: PLC0415 - only where a figure is wanted

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    names = [*SHARES, PER_HOUR, NAIVE]
    for kind, rows in worlds.items():
        at = [names.index(row["rate"]) for row in rows if row["deployments"]]
        axes[0].plot([100 * row["coverage"] for row in rows if row["deployments"]], at, "o", label=kind, alpha=0.8)
        shares = [row for row in rows if row["deployments"] and row["rate"] != PER_HOUR]
        axes[1].plot(
            [100 * row["bias"] for row in shares], [names.index(row["rate"]) for row in shares], "o", alpha=0.8
        )
    axes[0].axvline(100 * LEAST_COVERAGE, color="0.5", lw=1)
    axes[1].axvspan(-100 * MOST_BIAS, 100 * MOST_BIAS, color="0.9")
    axes[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes[0].set_xlabel("intervals that hold the truth, %")
    axes[1].set_xlabel("bias, points")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, dpi=150)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all kinds of deployment; the exit code says whether the intervals kept their word."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DEPLOYMENTS} deployments, about a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw coverage and bias")
    options = parser.parse_args(argv)
    each = (QUICK_DEPLOYMENTS if options.quick else DEPLOYMENTS) // len(WORLDS)
    worlds = {name: run(world, each, seed) for seed, (name, world) in enumerate(WORLDS.items())}
    found = summarise(worlds)
    if options.figure:
        draw(worlds, options.figure)
    print(
        json.dumps({"deployments": each * len(WORLDS), "worlds": worlds, **found, "kept": kept(found)})
        if options.json
        else _said(worlds, found)
    )
    return 0 if kept(found) else 1


def _said(worlds: Mapping[str, Sequence[Mapping[str, Any]]], found: Mapping[str, Any]) -> str:
    held = ", ".join(f"{name.replace('_', ' ')} {100 * share:.1f} %" for name, share in found["coverage"].items())
    biases = ", ".join(f"{name.replace('_', ' ')} {100 * bias:+.2f}" for name, bias in found["bias"].items())
    return "\n\n".join(
        [
            table(worlds),
            f"intervals that hold the truth: {held}; lowest of any kind {100 * found['lowest_coverage']:.1f} %",
            f"bias in points: {biases}; largest of any kind {100 * found['largest_bias']:.2f}",
            f"naive miss rate: up to {100 * found['naive_bias']:+.1f} points off, its intervals hold the truth in "
            f"{100 * found['naive_coverage']:.0f} % of the deployments at worst",
            "targets kept" if kept(found) else "TARGETS MISSED",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
