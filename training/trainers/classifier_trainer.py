"""Train state heads on recorded sessions: ``python -m training.trainers.classifier_trainer --data custom_sessions/``.

`training.trainers.classifier_training` says how. The bundle (``--out``) is the file that an agent runs. The run folder
holds config.json (what was asked), metrics.json (all that was compared) and a copy of the bundle.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, SentryError
from sentry_proto.pipes import unread
from sentry_proto.tasks import DEFAULT_TASKS, load_tasks, tasks_to_json
from training.datasets.extraction import ENGINES
from training.datasets.sessions import load_windows
from training.export.state_heads import export_bundle
from training.trainers.classifier_report import Report, as_text
from training.trainers.classifier_training import AUTO, FUSIONS, Settings, Trained, train

HOP_S = 10
"""Windows for training end this far apart; each shares two thirds of its seconds with the next."""


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status: 2 for bad input, 1 if no task is better than a constant forecast."""
    return run("classifier_trainer", _parser().parse_args(argv))


def run(program: str, options: argparse.Namespace, summary: Callable[[Report], str] | None = None) -> int:
    """Train as the options say; errors become one sentence on stderr.

    Args:
        program: name to begin that sentence with.
        options: as `add_options` makes them, with `fusion`.
        summary: what else to print of the report.
    """
    try:
        report = _train(options)
    except SentryError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    try:
        print(json.dumps(report) if options.json else as_text(report))
        if summary and not options.json:
            print("\n" + summary(report))
        sys.stdout.flush()
    except BrokenPipeError:
        return unread()
    return 0 if report["bundle"] else 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this command and `training.trainers.fusion_trainer` have in common."""
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded sessions, as custom_sessions/")
    parser.add_argument("--out", type=Path, default=Path("heads.onnx"), help="the bundle; default: %(default)s")
    parser.add_argument("--tasks", type=Path, help="task file (TOML); default: stress, focus, anxiety, depression")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--run", type=Path, help="run folder; default: runs/heads-<date>-<time>")
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="for sessions that are only videos; default: %(default)s"
    )
    parser.add_argument("--no-baseline", action="store_true", help="disregard each person's own baseline")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.trainers.classifier_trainer", description="Train state heads on recorded sessions."
    )
    add_options(parser)
    parser.add_argument(
        "--fusion",
        choices=FUSIONS,
        default=AUTO,
        help="statistics pooling, learned fusion layers, or learned ones where they are better; default: %(default)s",
    )
    return parser


def _train(options: argparse.Namespace) -> Report:
    began = time.monotonic()
    torch.set_num_threads(
        1
    )  # the matrices are small: on a busy machine threads wait for one another longer than they help
    if not options.data.is_dir():
        raise InputError(f"there is no folder {options.data}")
    tasks = load_tasks(options.tasks) if options.tasks else DEFAULT_TASKS
    settings = Settings(fusion=options.fusion, seed=options.seed, baseline=not options.no_baseline)
    windows, left_out = load_windows(options.data, tasks, hop_s=HOP_S, engine=options.engine, progress=not options.json)
    trained = train(windows, tasks, settings)
    bundle = _bundle(trained, windows.length) if trained.heads else b""
    folder = options.run or Path("runs") / time.strftime("heads-%Y%m%d-%H%M%S")
    report = {
        "bundle": str(options.out) if bundle else None,
        "run": str(folder),
        "seconds": round(time.monotonic() - began, 1),
        "left_out": left_out.lines(),
        **trained.report,
    }
    config = {"data": str(options.data.absolute()), "hop_s": HOP_S, "length_s": windows.length, **asdict(settings)}
    _write(options.out, folder, bundle, config | {"tasks": tasks_to_json(tuple(tasks))}, report)
    return report


def _bundle(trained: Trained, seconds: int) -> bytes:
    return export_bundle(
        trained.heads,
        version=1,
        parent=0,
        created=time.time(),
        abstaining=trained.abstaining,
        metrics=trained.metrics,
        seconds=seconds,
        population=trained.population,
    )


def _write(out: Path, folder: Path, bundle: bytes, config: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    for name, content in (("config.json", config), ("metrics.json", report)):
        write_durable(folder / name, (json.dumps(content, indent=2) + "\n").encode())
    if bundle:
        write_durable(folder / "heads.onnx", bundle)
        write_durable(out, bundle)


if __name__ == "__main__":
    sys.exit(main())
