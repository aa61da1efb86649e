"""``sentry-train evaluate`` and ``report``: figures of an expression model on FER2013, printed or drawn."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from training.datasets import fer2013
from training.evaluation.expression import FIGURES, Judgement, judge, open_model, predict
from training.report.expression import Run, findings_of
from training.report.expression_page import write_expression_report
from training.report.folder import prepare_folder

REPORT = "report"
"""Where the page of a run goes, within its folder."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    command = commands.add_parser("evaluate", help="figures of an expression model on FER2013")
    command.add_argument("--model", type=Path, required=True, help="the .onnx file")
    command.add_argument("--split", choices=fer2013.SPLITS, default="PublicTest", help="default: %(default)s")
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    command.add_argument("--report", type=Path, metavar="DIR", help="write a page with figures and wrong faces there")
    command.set_defaults(command=_evaluate)
    page = commands.add_parser("report", help="a page about a training run of the expression model")
    page.add_argument("run", type=Path, metavar="RUN", help="run folder of the emotion trainer")
    page.add_argument("--out", type=Path, metavar="DIR", help="default: the folder report in RUN")
    page.set_defaults(command=_report)
    for parser in (command, page):
        parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
        parser.add_argument(
            "--ferplus", type=Path, help="FER+ votes for the page; default: ferplus*.csv beside the data"
        )
        parser.add_argument("--resamples", type=int, default=1000, help="for the intervals; default: %(default)s")


def _evaluate(options: argparse.Namespace) -> int:
    if options.report:
        prepare_folder(options.report)
    session = open_model(options.model)
    data = fer2013.find_data(options.data)
    faces = fer2013.load_fer2013(data).split(options.split)
    if options.report:
        votes = fer2013.load_votes(fer2013.find_ferplus(options.ferplus, data), faces.rows)
        findings = findings_of(
            options.model.stem, options.model.read_bytes(), faces, votes, options.split, options.resamples
        )
        judgement = findings.judgement
        command = f"sentry-train evaluate --model {options.model.name} --split {options.split} --report DIR"
        print(f"report: {write_expression_report(options.report, findings, command)}", file=sys.stderr)
    else:
        judgement = judge(predict(session, faces.images), faces.labels, options.resamples)
    show = _as_json if options.json else _as_text
    print(show(judgement, options.split))
    return 0


def _report(options: argparse.Namespace) -> int:
    from training.export.expression import serve_run  # noqa: PLC0415 - loads torch

    folder = options.out or options.run / REPORT
    data = fer2013.find_data(options.data)
    public = fer2013.load_fer2013(data).split("PublicTest")
    served = serve_run(options.run, public, "unreleased")
    prepare_folder(folder)
    name, votes = (
        options.run.resolve().name,
        fer2013.load_votes(fer2013.find_ferplus(options.ferplus, data), public.rows),
    )
    run = Run(served.config, served.history, served.best_epoch, served.parameters)
    findings = findings_of(name, served.exported.model, public, votes, "PublicTest", options.resamples, run)
    page = write_expression_report(folder, findings, f"sentry-train report {name}")
    print(f"{name}: PublicTest {findings.judgement.report.accuracy:.2%}; report: {page}")
    return 0


def _as_json(judgement: Judgement, split: str) -> str:
    report = judgement.report
    figures = {
        "split": split,
        "n": report.n,
        **{name: round(getattr(report, name), 6) for name in FIGURES},
        "intervals": {name: [round(low, 6), round(high, 6)] for name, (low, high) in judgement.intervals.items()},
        "recall": {name: _known(value) for name, value in zip(fer2013.EMOTIONS, report.recall.tolist(), strict=True)},
        "recall_intervals": {
            name: [_known(low), _known(high)]
            for name, (low, high) in zip(fer2013.EMOTIONS, judgement.recall_intervals.tolist(), strict=True)
        },
        "confusion": report.confusion.tolist(),
    }
    return json.dumps(figures)


def _known(value: float) -> float | None:
    """None for NaN: the class does not occur."""
    return None if math.isnan(value) else round(value, 6)


def _as_text(judgement: Judgement, split: str) -> str:
    report = judgement.report
    width = max(len(name) for name in FIGURES)
    lines = [f"{split}, n = {report.n}; 95 % intervals over faces"]
    for name, (low, high) in judgement.intervals.items():
        lines.append(f"{name.replace('_', ' '):<{width}}  {getattr(report, name):.3f}  ({low:.3f} to {high:.3f})")
    lines += ["", "label \\ predicted " + "".join(f"{name:>9}" for name in fer2013.EMOTIONS) + "   recall"]
    rows = zip(fer2013.EMOTIONS, report.confusion, report.recall, judgement.recall_intervals, strict=True)
    for name, counts, recall, (low, high) in rows:
        cells = "".join(f"{count:>9}" for count in counts)
        lines.append(f"{name:<18}{cells}{recall:>9.1%}  ({low:.1%} to {high:.1%})")
    return "\n".join(lines)
