"""``sentry-train crossval``: how well models tell the states of people whom they have never met."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.evaluation.fold_engines import ENGINES

DATASETS = ("sessions", "swellkw")
PROTOCOLS = ("loso", "kfold", "holdout")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    command = commands.add_parser("crossval", help="validate on people whom the model has never met")
    command.add_argument("--data", type=Path, required=True, help="folder of sessions, or the file of the data set")
    command.add_argument("--dataset", choices=DATASETS, default=DATASETS[0], help="default: %(default)s")
    command.add_argument(
        "--task", action="append", help="task or scale; may be repeated; default: all that have labels"
    )
    command.add_argument("--tasks", type=Path, help="task file (TOML), for sessions; default: the built-in tasks")
    command.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="holdout",
        help="loso: leave one person out; kfold: 5 groups of people; holdout: the same without a fifth of the people, "
        "on whom the best ingredient is tested once; default: %(default)s",
    )
    command.add_argument("--seeds", type=_positive, default=1, help="repetitions; default: %(default)s")
    command.add_argument("--engine", choices=ENGINES, default="local", help="default: %(default)s")
    command.add_argument("--workers", type=_positive, help="processes of the local engine; default: one per core")
    command.add_argument("--permutations", type=_positive, default=99, help="of whole blocks; default: %(default)s")
    command.add_argument(
        "--quick", action="store_true", help="one plain model, causal baseline, no calibration, no permutations"
    )
    command.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    command.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="also write a page with pictures and what may be cited into this folder",
    )
    command.set_defaults(command=_crossval)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _crossval(options: argparse.Namespace) -> int:
    from training.commands.crossval_run import run  # noqa: PLC0415 - torch takes seconds to load

    return run(options)
