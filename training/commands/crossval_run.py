"""A run of ``sentry-train crossval``: read, compare, print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from sentry_proto.errors import InputError
from sentry_proto.tasks import DEFAULT_TASKS, Task, load_tasks
from training.commands.crossval_plan import (
    CAUSAL,
    LOGISTIC,
    PROTOCOLS,
    RAW,
    Plan,
    deciding_metric,
    holdout_studies,
    make_plan,
)
from training.datasets import swellkw
from training.datasets.exclusions import Exclusions
from training.datasets.sessions import load_windows
from training.evaluation.controls import permutation_test, traps
from training.evaluation.protocols import PersonKFold, SplitProtocol
from training.evaluation.results import Result
from training.evaluation.validation import validate
from training.windows import WindowSet

SWELLKW = "swellkw"
SHOWN = {
    "task": ("auroc_per_person", "auroc", "balanced_accuracy", "macro_f1", "ece", "fpr", "fnr"),
    "scale": ("ccc", "spearman", "spearman_per_person", "mae", "mae_of_mean"),
}
"""Columns of the table; the JSON has all metrics."""


@dataclass(frozen=True)
class _Data:
    """What was read: the same windows by baseline, and what can be asked of them."""

    variants: Mapping[str, WindowSet]
    tasks: tuple[Task, ...]
    exclusions: Exclusions


def run(options: argparse.Namespace) -> int:
    """Read, compare, print; returns the exit status."""
    data = _load(options)
    protocol = PROTOCOLS[options.protocol]
    plan = make_plan(data.variants, _targets(data, options.task), protocol, options.quick)
    how: dict[str, Any] = {
        "seeds": options.seeds,
        "engine": options.engine,
        "workers": options.workers,
        "progress": _show_progress if sys.stderr.isatty() else None,
    }
    results = validate(plan.studies, **how)
    if isinstance(protocol, PersonKFold) and protocol.holdout:
        results += validate(holdout_studies(plan.studies, results, protocol.holdout), **how)
    permuted = [] if options.quick else permute_blocks(plan, options.permutations, options.workers)
    warnings = _warnings(plan, protocol)
    if options.json:
        found = _as_json(options, data, plan, results)
        print(json.dumps(found | {"permuted_blocks": permuted, "warnings": warnings}))
    else:
        _print(data, plan, results)
        for test in permuted:
            print(
                "{task}, {model}, {features}: p = {p:.3f} by {permutations} orders of each person's blocks".format_map(
                    test
                )
            )
        for sentence in warnings:
            print(f"warning: {sentence}")
    return 0


def permute_blocks(plan: Plan, permutations: int, workers: int | None) -> list[dict[str, Any]]:
    """The p values of logistic regression on each task: how often exchanged blocks score as high, as JSON values."""
    found = []
    for study in plan.studies:
        ingredient = study.ingredient
        if (ingredient.model, ingredient.baseline, ingredient.shots) != (LOGISTIC, CAUSAL, 0):
            continue
        try:
            test = permutation_test(study, permutations, workers=workers)
        except InputError as error:
            plan.omitted[f"{study.name} with whole blocks permuted"] = str(error)
            continue
        named = {"task": study.name, "model": ingredient.model, "features": ingredient.features}
        scores = {"observed": test.observed, "permuted_mean": float(test.permuted.mean()), "p": test.p}
        found.append({**named, "permutations": permutations, **scores})
    return found


def _warnings(plan: Plan, protocol: SplitProtocol) -> list[str]:
    """By what else than the state each task's labels can be told."""
    looked_at = {
        study.name: (study.windows, study.target) for study in reversed(plan.studies) if study.ingredient.control
    }
    return [
        trap.sentence
        for windows, target in looked_at.values()
        if isinstance(target, Task)
        for trap in traps(windows, target, protocol)
    ]


def _load(options: argparse.Namespace) -> _Data:
    baselines = {CAUSAL: True} if options.quick else {CAUSAL: True, RAW: False}
    if options.dataset == SWELLKW:
        loaded = {name: swellkw.load_swell(options.data, known) for name, known in baselines.items()}
        tasks: tuple[Task, ...] = swellkw.TASKS
    else:
        tasks = load_tasks(options.tasks) if options.tasks else DEFAULT_TASKS
        loaded = {name: load_windows(options.data, tasks, baseline=known) for name, known in baselines.items()}
    return _Data({name: windows for name, (windows, _) in loaded.items()}, tasks, loaded[CAUSAL][1])


def _targets(data: _Data, names: Sequence[str] | None) -> list[Task | str]:
    windows = data.variants[CAUSAL]
    known: dict[str, Task | str] = {name: name for name in windows.scales}
    known |= {task.name: task for task in data.tasks}
    if unknown := sorted(set(names or ()) - set(known)):
        raise InputError(f"there is no task or scale {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return [known[name] for name in names] if names else [*data.tasks, *windows.scales]


def _as_json(options: argparse.Namespace, data: _Data, plan: Plan, results: Sequence[Result]) -> dict[str, Any]:
    windows = data.variants[CAUSAL]
    return {
        "dataset": options.dataset,
        "protocol": str(PROTOCOLS[options.protocol]),
        "seeds": options.seeds,
        "people": len(set(windows.people.tolist())),
        "windows": len(windows),
        "left_out": data.exclusions.counts,
        "not_measured": plan.omitted,
        "interval": "95 % over people",
        "results": [result.to_json() for result in results],
    }


def _print(data: _Data, plan: Plan, results: Sequence[Result]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    for task in dict.fromkeys(result.task for result in results):
        of_task = [result for result in results if result.task == task]
        console.print(_table(task, of_task))
    console.print("Intervals are 95 % over people; in the first column the metric that ingredients are compared by.")
    for what, why in plan.omitted.items():
        console.print(f"not measured: {what}: {why}", markup=False)
    for line in data.exclusions.lines():
        console.print(line, markup=False)


def _table(task: str, results: Sequence[Result]) -> Table:
    first = deciding_metric(results[0])
    names = [first, *(name for name in SHOWN[results[0].kind] if name != first and name in results[0].metrics)]
    table = Table(title=f"{task}: {results[0].protocol}, {results[0].seeds} repetition(s)", title_justify="left")
    table.add_column("ingredient")
    for name in (*names, "people", "windows"):
        table.add_column(name.replace("_", " "), justify="right")
    for result in results:
        label = (
            str(result.ingredient)
            if result.protocol == results[0].protocol
            else f"{result.ingredient} [{result.protocol}]"
        )
        head, *rest = (result.metrics[name] for name in names)
        cells = [f"{head.value:.2f} ({head.low:.2f} to {head.high:.2f})", *(f"{figure.value:.2f}" for figure in rest)]
        table.add_row(label, *cells, str(result.people), str(result.windows))
    return table


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} folds", end="\n" if done == total else "", file=sys.stderr, flush=True)
