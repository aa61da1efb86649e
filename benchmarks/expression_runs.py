"""What was tried for the expression model: a Markdown table from run folders.

    python -m benchmarks.expression_runs RUN [RUN ...] [--data DATA] [--json]

One row per run, of its best epoch as it would ship: what differs from the default recipe, parameters, PublicTest
accuracy with its 95 % interval over faces, macro F1, expected calibration error with the temperature (and with one
fitted on the other half of the faces), and milliseconds per face on one core. A run that cannot be exported here,
because it broke off before its first epoch or needs code that is not part of Sentry, keeps its row with what its folder
says.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sentry_proto.errors import SentryError
from training.datasets import fer2013
from training.evaluation.expression import ModelError
from training.export.expression import serve_run
from training.report.expression import ExpressionFindings, Run, findings_of
from training.trainers.emotion_recipe import Recipe

COLUMNS = ("run", "recipe", "epochs", "parameters", "PublicTest, %", "macro F1", "ECE (cross-fitted)", "ms per face")
APART = {"epochs"}
"""Settings that are no part of the column recipe."""


def row_of(folder: Path, public: fer2013.Faces) -> dict[str, Any]:
    """Figures of one run.

    Raises:
        ModelError: the folder is not that of a run.
    """
    said = _as_the_folder_says(folder)
    try:
        served = serve_run(folder, public, "unreleased")
    except ModelError as error:
        return said | {"why_not_exported": str(error)}
    votes = fer2013.load_votes(None, public.rows)
    run = Run(served.config, served.history, served.best_epoch, served.parameters)
    return said | _measured(findings_of(folder.name, served.exported.model, public, votes, "PublicTest", run=run), run)


def _as_the_folder_says(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is not the folder of a run: config.json is missing") from error
    history = folder / "history.jsonl"
    lines = history.read_text(encoding="utf-8").splitlines() if history.exists() else []
    best: dict[str, Any] = max((json.loads(line) for line in lines), key=lambda epoch: epoch["accuracy"], default={})
    return {
        "run": folder.resolve().name,
        "recipe": difference(config),
        "epochs": _epochs(best, len(lines), config["recipe"]["epochs"]),
        "accuracy": best.get("accuracy"),
        "macro_f1": best.get("macro_f1"),
    }


def _epochs(best: dict[str, Any], done: int, planned: int) -> str:
    if not best:
        return f"0 of {planned}"
    return f"{best['epoch']} of {planned}" + (f", ended after {done}" if done < planned else "")


def difference(config: dict[str, Any]) -> str:
    """What a run's configuration changes in the default recipe, for a reader."""
    usual, changes = asdict(Recipe()), []
    for name, value in config["recipe"].items():
        if name not in APART and value != usual.get(name):
            changes.append(f"{name.replace('_', ' ')} {value}")
    if config["init"] is None:
        changes.append("from scratch")
    if teachers := config["data"].get("teachers"):
        changes.append(f"{len(teachers)} teacher{'s' if len(teachers) > 1 else ''}")
    if not config["data"]["with_votes"]:
        changes.append("without FER+ votes")
    return ", ".join(changes) or "default"


def _measured(findings: ExpressionFindings, run: Run) -> dict[str, Any]:
    report, (low, high) = findings.judgement.report, findings.judgement.intervals["accuracy"]
    return {
        "parameters": run.parameters,
        "accuracy": round(report.accuracy, 4),
        "accuracy_interval": [round(low, 4), round(high, 4)],
        "macro_f1": round(report.macro_f1, 4),
        "ece": round(report.ece, 4),
        "ece_crossfitted": round(findings.crossfitted_ece, 4),
        "ms_per_face": round(findings.milliseconds, 2),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table, and below it why a run has no more figures."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    lines += [f"\n{row['run']}: {row['why_not_exported']}." for row in rows if "why_not_exported" in row]
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> list[str]:
    accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.1%}".removesuffix("%")
    macro_f1 = "-" if row["macro_f1"] is None else f"{row['macro_f1']:.3f}"
    if "parameters" not in row:
        return [row["run"], row["recipe"], row["epochs"], "-", accuracy, macro_f1, "-", "-"]
    low, high = row["accuracy_interval"]
    return [
        row["run"],
        row["recipe"],
        row["epochs"],
        f"{row['parameters'] / 1e6:.2f} M",
        f"{accuracy} ({100 * low:.1f} to {100 * high:.1f})",
        macro_f1,
        f"{row['ece']:.3f} ({row['ece_crossfitted']:.3f})",
        f"{row['ms_per_face']:.2f}",
    ]


def main(argv: list[str] | None = None) -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder of the emotion trainer")
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    try:
        public = fer2013.load_fer2013(fer2013.find_data(options.data)).split("PublicTest")
        rows = [row_of(folder, public) for folder in options.runs]
    except (SentryError, ModelError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(rows) if options.json else markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
