"""Train the facial expression model on FER2013: ``python -m training.trainers.emotion_trainer --epochs 20``.

`training.trainers.emotion_training` says how. The run folder holds config.json, history.jsonl, last.pt, best.pt and a
TensorBoard log; ``--resume`` goes on after a kill at any moment, and ``training.export.expression`` exports the best
epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from sentry_proto.errors import SentryError
from training.datasets import fer2013
from training.evaluation.expression import ModelError
from training.evaluation.metrics import ClassificationReport
from training.trainers.emotion_network import BACKBONES
from training.trainers.emotion_recipe import Recipe
from training.trainers.emotion_training import Place, Training, load_training_data

_INIT_PLACES = (Path("data"), Path("models"), Path("..") / "shared" / "models")


@dataclass(frozen=True)
class Job:
    """What one run needs to know, the same for every worker.

    Attributes:
        run: its folder.
        data, ferplus, teachers, init: files; see the command line.
        recipe: see `Recipe`.
        device: "cpu" or "cuda".
    """

    run: Path
    data: Path
    ferplus: Path | None
    teachers: tuple[Path, ...]
    init: Path | None
    recipe: Recipe
    device: str


def run_job(job: Job, worker: int = 0, workers: int = 1) -> None:
    """Begin or go on with a run, as one of several workers; the first one keeps the run folder."""
    data = load_training_data(job.data, job.ferplus, job.teachers)
    place = Place(torch.device(job.device), worker, workers)
    training = Training(job.recipe, data, job.init, place)
    if (job.run / "last.pt").exists():
        training.resume(job.run / "last.pt")
    if worker == 0:
        config = {
            "recipe": asdict(job.recipe),
            "init": job.init.name if job.init else None,
            "device": torch.cuda.get_device_name() if job.device == "cuda" else "cpu",
            "workers": workers,
            "data": data.summary,
        }
        _write_config(job.run, config)
        print(f"{data.summary['training_images_used']} faces, {data.summary['dropped']} dropped", flush=True)
    train(training, job.run)


def train(training: Training, run: Path) -> None:
    """Run the remaining epochs; after each, judge, log and save into the run folder."""
    first = training.place.worker == 0
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, disable=not (first and sys.stderr.isatty())) as progress:
        total = training.recipe.epochs * training.steps
        task = progress.add_task("training", total=total, completed=training.epoch * training.steps, rate="")
        while not training.finished:
            started = time.monotonic()
            loss = _train_epoch(training, progress, task)
            report = training.judge()
            training.history.append(_figures(training.epoch, loss, report, time.monotonic() - started))
            if first:
                _keep(training, run)


def _keep(training: Training, run: Path) -> None:
    """Save an epoch. last.pt comes last but for its readable copies: killed before it, the epoch is done once more."""
    if training.best_epoch == training.epoch:
        training.save(run / "best.pt")
    training.save(run / "last.pt")
    lines = "".join(json.dumps(figures) + "\n" for figures in training.history)
    (run / "history.jsonl").write_text(lines, encoding="utf-8")
    figures = training.history[-1]
    with SummaryWriter(str(run)) as board:
        for name, value in figures.items():
            board.add_scalar(name, value, training.epoch)
    left = (training.recipe.epochs - training.epoch) * figures["seconds"] / 60
    print(
        f"epoch {training.epoch}/{training.recipe.epochs}: loss {figures['loss']:.3f}, "
        f"PublicTest {figures['accuracy']:.2%}, macro F1 {figures['macro_f1']:.3f}, {figures['seconds']:.0f} s, "
        f"about {left:.0f} min left",
        flush=True,
    )


def _train_epoch(training: Training, progress: Progress, task: TaskID) -> float:
    progress.update(task, description=f"epoch {training.epoch + 1}/{training.recipe.epochs}")
    started, losses = time.monotonic(), []
    for loss in training.run_epoch():
        losses.append(loss)
        rate = len(losses) * training.recipe.batch / (time.monotonic() - started)
        progress.update(task, advance=1, rate=f"{rate:.0f} faces/s, loss {loss:.3f}")
    return sum(losses) / len(losses)


def _figures(epoch: int, loss: float, report: ClassificationReport, seconds: float) -> dict[str, float]:
    return {
        "epoch": epoch,
        "loss": round(loss, 4),
        "accuracy": round(report.accuracy, 4),
        "macro_f1": round(report.macro_f1, 4),
        "ece": round(report.ece, 4),
        "seconds": round(seconds, 1),
    }


def _write_config(run: Path, config: Mapping[str, object]) -> None:
    path = run / "config.json"
    if path.exists():
        config = {**json.loads(path.read_text(encoding="utf-8")), **config}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _find_init(given: Path | None, backbone: str) -> Path:
    name = BACKBONES[backbone].timm
    pattern = f"*{name.removeprefix('tf_')}*.pth"
    matches = [given] if given else [m for place in _INIT_PLACES for m in sorted(place.glob(pattern))]
    if not matches or not matches[0].is_file():
        places = given or ", ".join(str(place / pattern) for place in _INIT_PLACES)
        raise fer2013.DatasetError(
            f"no start weights of {name} found: looked for {places}; give them with --init FILE, "
            "or start from random weights with --from-scratch"
        )
    return matches[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.trainers.emotion_trainer", description="Train the facial expression model on FER2013."
    )
    for setting in fields(Recipe):
        name, kind = setting.name.replace("_", "-"), type(setting.default)
        choices = sorted(BACKBONES) if setting.name == "backbone" else None
        reading: dict[str, Any] = {"type": kind, "choices": choices}
        if kind is bool:
            reading = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(f"--{name}", **reading, default=None, help=f"default: {setting.default}")
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--ferplus", type=Path, help="FER+ votes; default: ferplus*.csv beside the data, if there")
    parser.add_argument("--no-votes", action="store_true", help="train without FER+ votes")
    parser.add_argument("--teacher", type=Path, nargs="+", default=[], help="expression models (.onnx) to learn from")
    parser.add_argument("--init", type=Path, help="start weights for timm's network of that name")
    parser.add_argument("--from-scratch", action="store_true", help="start from random weights")
    parser.add_argument("--run", type=Path, help="run folder; default: runs/expression-<date>-<time>")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if there is one"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="of the engine ray; default: %(default)s")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        job = _resumed(options) if options.resume else _fresh(options)
        if options.engine == "ray":
            from training.trainers.emotion_ray import run_on_ray  # noqa: PLC0415 - an optional dependency

            run_on_ray(job, options.workers)
        else:
            run_job(job)
    except (SentryError, ModelError, ValueError, OSError) as error:
        print(f"emotion_trainer: {error}", file=sys.stderr)
        return 2
    print(
        f"run folder: {job.run}\nlook at it: sentry-train report {job.run}\n"
        f"export it: python -m training.export.expression --run {job.run} --out FILE.onnx"
    )
    return 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    return {f.name: value for f in fields(Recipe) if (value := getattr(options, f.name)) is not None}


def _fresh(options: argparse.Namespace) -> Job:
    recipe = Recipe(**_given(options))
    if bool(options.teacher) != (recipe.teacher_weight > 0):
        raise ValueError("--teacher FILE and --teacher-weight above 0 belong together")
    if not 0 <= recipe.teacher_weight + recipe.annotator_weight <= 1:
        raise ValueError("--teacher-weight and --annotator-weight are shares: together at most 1")
    data = fer2013.find_data(options.data)
    init = None if options.from_scratch else _find_init(options.init, recipe.backbone)
    run = options.run or Path("runs") / time.strftime("expression-%Y%m%d-%H%M%S")
    votes = None if options.no_votes else fer2013.find_ferplus(options.ferplus, data)
    if votes is None and recipe.annotator_weight > 0:
        raise ValueError("--annotator-weight needs FER+ votes: put ferplus*.csv beside the data or name it: --ferplus")
    if (run / "last.pt").exists():
        raise ValueError(f"{run} holds a run already; go on with it: --resume {run}")
    run.mkdir(parents=True, exist_ok=True)
    job = Job(run.absolute(), data.absolute(), votes, tuple(options.teacher), init, recipe, _device(options.device))
    (run / "files.json").write_text(json.dumps(_files(job), indent=2) + "\n", encoding="utf-8")
    return job


def _files(job: Job) -> dict[str, Any]:
    """Where this machine has the job's files; kept beside the configuration, which goes into the model card."""
    single = {"data": job.data, "ferplus": job.ferplus, "init": job.init}
    return {
        **{name: str(path.absolute()) if path else None for name, path in single.items()},
        "teachers": [str(path.absolute()) for path in job.teachers],
    }


def _resumed(options: argparse.Namespace) -> Job:
    """The job of a run folder; only where it ends may be changed, and config.json keeps from where to where."""
    run: Path = options.resume
    given = _given(options)
    if set(given) - {"epochs"}:
        raise ValueError("with --resume only --epochs can be changed; everything else stands in the run folder")
    try:
        files = json.loads((run / "files.json").read_text(encoding="utf-8"))
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{run} is not the folder of a run: {Path(error.filename).name} is missing") from error
    recipe = Recipe(**config["recipe"])
    if options.epochs not in (None, recipe.epochs):
        done = len((run / "history.jsonl").read_text(encoding="utf-8").splitlines())
        moved = [*config.get("end_moved", []), {"after_epoch": done, "from": recipe.epochs, "to": options.epochs}]
        recipe = replace(recipe, epochs=options.epochs)
        _write_config(run, {"end_moved": moved})
    ferplus, init = (Path(files[name]) if files[name] else None for name in ("ferplus", "init"))
    teachers = tuple(Path(name) for name in files["teachers"])
    data = Path(options.data or files["data"]).absolute()
    return Job(run.absolute(), data, ferplus, teachers, init, recipe, _device(options.device))


def _device(asked: str) -> str:
    if asked == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device here; use --device cpu, or install a CUDA build of torch")
    return asked if asked != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    sys.exit(main())
