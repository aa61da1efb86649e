"""A run of ``sentry-train crossval``: read, compare, print, report."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from sentry_proto.errors import InputError
from sentry_proto.software import SOFTWARE
from sentry_proto.tasks import DEFAULT_TASKS, Task, load_tasks
from training.commands.crossval_plan import (
    CAUSAL,
    LOGISTIC,
    PROTOCOLS,
    RAW,
    Plan,
    holdout_studies,
    make_plan,
)
from training.datasets import swellkw
from training.datasets.exclusions import Exclusions
from training.datasets.sessions import load_windows
from training.evaluation.controls import Trap, permutation_test, traps
from training.evaluation.protocols import PersonKFold, SplitProtocol
from training.evaluation.validation import validate
from training.report.findings import Findings, Topic
from training.report.folder import prepare_folder
from training.report.page import write_report
from training.windows import WindowSet

SWELLKW = "swellkw"
SOURCES = {
    SWELLKW: "Koldijk S, Sappelli M, Verberne S, Neerincx MA, Kraaij W (2014). The SWELL knowledge work dataset for "
    "stress and user modeling research. ICMI. Data: https://doi.org/10.17026/dans-x55-69zp, CC BY-NC-SA 4.0."
}
"""What whoever publishes figures on a data set has to cite."""

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
    """Read, compare, print and report; returns the exit status."""
    if options.report:
        prepare_folder(options.report)
    findings = _find(options, _load(options))
    if options.json:
        print(json.dumps(findings.to_json()))
    else:
        _print(findings)
    if options.report:
        page = write_report(options.report, findings)
        print(f"report: {page}", file=sys.stderr)
    return 0


def _find(options: argparse.Namespace, data: _Data) -> Findings:
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
    windows = data.variants[CAUSAL]
    return Findings(
        dataset=options.dataset,
        title=swellkw.NAME if options.dataset == SWELLKW else f"Recorded sessions ({options.data.name})",
        command=_command(options),
        version=SOFTWARE,
        made=datetime.now(UTC),
        protocol=str(protocol),
        seeds=options.seeds,
        people=len(set(windows.people.tolist())),
        windows=len(windows),
        results=results,
        source=SOURCES.get(options.dataset, ""),
        tasks={task.name: task for task in data.tasks},
        exclusions=data.exclusions,
        omitted=plan.omitted,
        permuted=permuted,
        traps=_traps(plan, protocol),
    )


def _command(options: argparse.Namespace) -> str:
    """What gives the same figures again; of paths the name only, since the page is handed on."""
    words = ["sentry-train", "crossval", "--data", options.data.name, "--dataset", options.dataset]
    for name in options.task or ():
        words += ["--task", name]
    if options.tasks:
        words += ["--tasks", options.tasks.name]
    words += ["--protocol", options.protocol, "--seeds", str(options.seeds)]
    words += ["--quick"] if options.quick else ["--permutations", str(options.permutations)]
    return shlex.join(words)


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


def _traps(plan: Plan, protocol: SplitProtocol) -> dict[str, list[Trap]]:
    """By what else than the state each task's labels can be told."""
    looked_at = {
        study.name: (study.windows, study.target) for study in reversed(plan.studies) if study.ingredient.control
    }
    return {
        name: traps(windows, target, protocol)
        for name, (windows, target) in looked_at.items()
        if isinstance(target, Task)
    }


def _load(options: argparse.Namespace) -> _Data:
    baselines = {CAUSAL: True} if options.quick else {CAUSAL: True, RAW: False}
    if options.dataset == SWELLKW:
        loaded = {name: swellkw.load_swell(options.data, known) for name, known in baselines.items()}
        tasks: tuple[Task, ...] = swellkw.TASKS
    else:
        tasks = load_tasks(options.tasks) if options.tasks else DEFAULT_TASKS
        how: dict[str, Any] = {
            "engine": options.engine,
            "workers": options.workers,
            "progress": sys.stderr.isatty(),
        }
        loaded = {name: load_windows(options.data, tasks, baseline=known, **how) for name, known in baselines.items()}
    return _Data({name: windows for name, (windows, _) in loaded.items()}, tasks, loaded[CAUSAL][1])


def _targets(data: _Data, names: Sequence[str] | None) -> list[Task | str]:
    windows = data.variants[CAUSAL]
    known: dict[str, Task | str] = {name: name for name in windows.scales}
    known |= {task.name: task for task in data.tasks}
    if unknown := sorted(set(names or ()) - set(known)):
        raise InputError(f"there is no task or scale {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return [known[name] for name in names] if names else [*data.tasks, *windows.scales]


def _print(findings: Findings) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    for topic in findings.topics():
        console.print(_table(topic))
    console.print("Intervals are 95 % over people; in the first column the metric that ingredients are compared by.")
    for what, why in findings.omitted.items():
        console.print(f"not measured: {what}: {why}", markup=False)
    for line in findings.exclusions.lines():
        console.print(line, markup=False)
    for test in findings.permuted:
        print(
            "{task}, {model}, {features}: p = {p:.3f} by {permutations} orders of each person's blocks".format_map(test)
        )
    for sentence in findings.warnings:
        print(f"warning: {sentence}")


def _table(topic: Topic) -> Table:
    results, first = topic.results, topic.metric
    names = [first, *(name for name in SHOWN[results[0].kind] if name != first and name in results[0].metrics)]
    table = Table(title=f"{topic.name}: {results[0].protocol}, {results[0].seeds} repetition(s)", title_justify="left")
    table.add_column("ingredient")
    for name in (*names, "people", "windows"):
        table.add_column(name.replace("_", " "), justify="right")
    for result in results:
        label = (
            str(result.ingredient)
            if result.protocol == results[0].protocol
            else f"{result.ingredient} ({result.protocol})"
        )
        head, *rest = (result.metrics[name] for name in names)
        cells = [f"{head.value:.2f} ({head.low:.2f} to {head.high:.2f})", *(f"{figure.value:.2f}" for figure in rest)]
        table.add_row(label, *cells, str(result.people), str(result.windows))
    return table


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} folds", end="\n" if done == total else "", file=sys.stderr, flush=True)
