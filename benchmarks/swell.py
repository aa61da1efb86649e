"""The tables of docs/swell-kw.md, from what cross-validation on SWELL-KW printed.

    sentry-train crossval --dataset swellkw --data FILE.csv --protocol loso --task stress --json > stress.json
    python -m benchmarks.swell --from stress.json [MORE.json ...]

One file may hold all tasks and scales, or each its own. Prints Markdown: every ingredient, the controls beside them,
calibration with minutes of the tested person, and the orders of whole blocks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError, SentryError

Result = dict[str, Any]
Columns = Sequence[tuple[str, Callable[[Result], str]]]

FEATURES = ("face", "posture", "both")


def figure(result: Result, metric: str) -> str:
    """`0.55 (0.41 to 0.69, 17)`: the estimate, its interval and the number of people; a dash if it cannot be told."""
    found = result["metrics"].get(metric)
    if not found or found["value"] is None:
        return "-"
    if found["low"] is None:
        return f"{found['value']:.2f} ({found['n']})"
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f}, {found['n']})"


def ingredients(results: Sequence[Result]) -> list[str]:
    """One table per task or scale: every model on every part of the body, raw and with the causal baseline."""
    lines = []
    for name in dict.fromkeys(result["task"] for result in results):
        own = [r for r in results if r["task"] == name and not r["control"] and not r["shots"]]
        rows = [r for features in FEATURES for r in own if r["baseline"] == "causal" and r["features"] == features]
        raw = {id(row): _like(own, row, baseline="raw") for row in rows}
        first, others = _metrics(own[0]["kind"])
        columns: Columns = [
            ("features", lambda r: r["features"]),
            ("model", lambda r: r["model"]),
            ("minutes", lambda r: str(r["windows"])),
            (f"{_said(first)}, raw", partial(_beside, raw, metric=first)),
            (f"{_said(first)}, causal", partial(figure, metric=first)),
            *((f"{_said(m)}, causal", partial(figure, metric=m)) for m in others),
        ]
        lines += [f"### {name}", "", *_table(columns, rows), ""]
    return lines


def controls(results: Sequence[Result]) -> list[str]:
    """What looks at no feature."""
    found = [r for r in results if r["control"] and r["features"] == "none"]
    lines = []
    for kind in dict.fromkeys(r["kind"] for r in found):
        first, others = _metrics(kind)
        columns: Columns = [
            ("task" if kind == "task" else "scale", lambda r: r["task"]),
            ("control", lambda r: r["model"]),
            *((_said(m), partial(figure, metric=m)) for m in (first, *others)),
        ]
        lines += [*_table(columns, [r for r in found if r["kind"] == kind]), ""]
    return lines


def calibration(results: Sequence[Result]) -> list[str]:
    """Minutes of the tested person, beside the same tests without them."""
    lines = []
    for kind in dict.fromkeys(r["kind"] for r in results):
        first, others = _metrics(kind)
        metrics = (first, others[-1])
        rows = [r for r in results if r["kind"] == kind and r["shots"]]
        twins = {id(row): _without(results, row) for row in rows}
        columns: Columns = [
            ("task" if kind == "task" else "scale", lambda r: r["task"]),
            ("model", lambda r: r["model"]),
            ("minutes of the person", lambda r: f"{r['shots']}, {_MINUTES[r['baseline']]}"),
            *((f"{_said(m)}, with", partial(figure, metric=m)) for m in metrics),
            *((f"{_said(m)}, without", partial(_beside, twins, metric=m)) for m in metrics),
        ]
        lines += [*_table(columns, rows), ""] if rows else []
    return lines


def orders(tests: Sequence[dict[str, Any]]) -> list[str]:
    """The p values of exchanged blocks."""
    columns: Columns = [
        ("task", lambda test: test["task"]),
        ("model", lambda test: test["model"]),
        ("features", lambda test: test["features"]),
        ("observed", lambda test: f"{test['observed']:.2f}"),
        ("mean of permuted", lambda test: f"{test['permuted_mean']:.2f}"),
        ("p", lambda test: f"{test['p']:.2f}"),
        ("orders", lambda test: str(test["permutations"])),
    ]
    return [*_table(columns, tests), ""] if tests else []


def tables(runs: Sequence[dict[str, Any]]) -> str:
    """All of them, from one or several runs."""
    results = [result for run in runs for result in run["results"]]
    tests = [test for run in runs for test in run["permuted_blocks"]]
    omitted = {what: why for run in runs for what, why in run["not_measured"].items()}
    sections = {
        "Every ingredient": ingredients(results),
        "Controls that look at no feature": controls(results),
        "Minutes of the tested person": calibration(results),
        "Orders of whole blocks": orders(tests),
    }
    parts = [line for title, lines in sections.items() if lines for line in (f"## {title}", "", *lines)]
    parts += [f"Not measured: {what}: {why}" for what, why in omitted.items()]
    return "\n".join(parts).rstrip() + "\n"


_MINUTES = {"causal": "labelled", "reference": "as the baseline"}
_SAID = {
    "auroc_per_person": "AUROC within people",
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "ccc": "CCC",
    "spearman_per_person": "Spearman within people",
    "mae": "MAE",
    "mae_gain": "MAE below that of the mean",
}


def _said(metric: str) -> str:
    return _SAID[metric]


def _metrics(kind: str) -> tuple[str, tuple[str, ...]]:
    """The one that is shown raw and causal, and those that stand beside it."""
    if kind == "task":
        return "auroc_per_person", ("auroc", "balanced_accuracy")
    return "ccc", ("spearman_per_person", "mae", "mae_gain")


def _beside(twins: Mapping[int, Result | None], result: Result, metric: str) -> str:
    twin = twins[id(result)]
    return figure(twin, metric) if twin else "-"


def _without(results: Sequence[Result], result: Result) -> Result | None:
    """The same model without the minutes: on the same tests; for minutes as the baseline, with the causal one."""
    if result["baseline"] == "reference":
        return _like(results, result, baseline="causal", shots=0)
    return _like(
        results, result, model=f"{result['model']} without the {result['shots']} minutes", shots=0, control=True
    )


def _like(results: Sequence[Result], result: Result, **differing: Any) -> Result | None:
    wanted = {name: result[name] for name in ("task", "model", "features", "baseline", "shots", "control")} | differing
    return next((other for other in results if all(other[name] == value for name, value in wanted.items())), None)


def _table(columns: Columns, rows: Iterable[Any]) -> list[str]:
    head = [f"| {' | '.join(title for title, _ in columns)} |", f"|{'---|' * len(columns)}"]
    return head + [f"| {' | '.join(cell(row) for _, cell in columns)} |" for row in rows]


def _read(path: Path) -> dict[str, Any]:
    try:
        run: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no output of sentry-train crossval --json: {error}") from error
    if not {"results", "permuted_blocks", "not_measured"} <= run.keys():
        raise InputError(f"{path} is no output of sentry-train crossval --json")
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="files", type=Path, nargs="+", required=True, metavar="FILE.json")
    try:
        print(tables([_read(path) for path in parser.parse_args(arguments).files]), end="")
    except SentryError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
