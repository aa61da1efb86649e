"""Train the facial expression model on FER2013: ``python -m training.trainers.emotion_trainer --epochs 20``.

MobileNetV3-small from ImageNet weights; AdamW with cosine learning rate after a warm-up; label smoothing; mixup on half
of the batches; a moving average of the weights is what is judged and exported; a second head, dropped at export, learns
the FER+ vote shares (FER2013's own labels are noisy). Training images that also stand in PublicTest are left out, and
PublicTest alone chooses the epoch. Everything an epoch draws comes from (seed, epoch), so ``--resume`` continues a run
as if it had not stopped. The run folder holds config.json, history.jsonl, last.pt and best.pt;
``training.export.expression`` exports its best epoch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from training.datasets import fer2013
from training.evaluation.metrics import ClassificationReport, classification_report
from training.trainers.emotion_data import augment, mixup
from training.trainers.emotion_network import BACKBONE, ExpressionNetwork, MovingAverage

_INIT_PATTERN = "mobilenetv3_small_100*.pth"
_INIT_PLACES = (Path("data"), Path("models"), Path("..") / "shared" / "models")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome of a training run, besides the data."""

    epochs: int = 20
    pixels: int = 112
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 1.0
    dropout: float = 0.25
    label_smoothing: float = 0.1
    mixup_share: float = 0.5
    votes_weight: float = 0.5
    average_decay: float = 0.998
    seed: int = 0

    def learning_rate_at(self, epoch: float) -> float:
        """Learning rate after ``epoch`` epochs: linear warm-up, then half a cosine down to 1 % of the peak."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1e-3) / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


@dataclass(frozen=True)
class TrainingData:
    """Images in memory, as tensors.

    Attributes:
        images: uint8 [n, 48, 48].
        labels: int64 [n].
        votes: float32 [n, 7], FER+ vote shares; zeros where unknown.
        public: the part that chooses the epoch.
        summary: counts and digest, as they go into config.json and the model card.
    """

    images: Tensor
    labels: Tensor
    votes: Tensor
    public: fer2013.Faces
    summary: dict[str, Any]


def load_training_data(data: Path, ferplus: Path | None) -> TrainingData:
    """Read, clean and join. Without FER+ votes (``None``) the second head stays untrained.

    Raises:
        fer2013.DatasetError: a file is missing or not what it should be.
    """
    faces = fer2013.load_fer2013(data)
    training, public = faces.split("Training"), faces.split("PublicTest")
    # Where the data at hand includes PrivateTest, its duplicates must go as well: someone will measure on it.
    held_out = [public, *([faces.split("PrivateTest")] if "PrivateTest" in faces.usage else [])]
    keep, cleaning = fer2013.clean_training(training, held_out)
    kept = training.where(keep)
    votes = torch.zeros(len(kept), len(fer2013.EMOTIONS))
    if ferplus is not None:
        votes = torch.from_numpy(fer2013.load_ferplus(ferplus, kept.rows))
    summary = {
        "training_images": len(training),
        "training_images_used": len(kept),
        "dropped": asdict(cleaning),
        "with_votes": int((votes.sum(dim=1) > 0).sum()),
        "public_test_images": len(public),
        "rows_sha256": hashlib.sha256(kept.rows.tobytes()).hexdigest(),
    }
    return TrainingData(torch.from_numpy(kept.images), torch.from_numpy(kept.labels), votes, public, summary)


class Training:
    """State of one run: network, its moving average, optimiser, and how far it has come."""

    def __init__(self, recipe: Recipe, data: TrainingData, init: Path | None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.data = data
        self.network = ExpressionNetwork(recipe.pixels, recipe.dropout)
        if init is not None:
            self.network.load_imagenet(init)
        self.average = MovingAverage(self.network, recipe.average_decay)
        self.optimiser = torch.optim.AdamW(_parameter_groups(self.network, recipe.weight_decay))
        self.epoch = 0
        self.best = 0.0

    @property
    def steps(self) -> int:
        """Batches per epoch; an incomplete last one is left out, as batch statistics of a few images mislead."""
        return max(1, len(self.data.images) // self.recipe.batch)

    def run_epoch(self) -> Iterator[float]:
        """Train one epoch, yielding the loss of each batch."""
        torch.manual_seed(self.recipe.seed * 100_003 + self.epoch)
        generator = torch.Generator().manual_seed(self.recipe.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.data.images), generator=generator)
        self.network.train()
        for index in range(self.steps):
            step = self.epoch * self.steps + index
            for group in self.optimiser.param_groups:
                group["lr"] = self.recipe.learning_rate_at(step / self.steps)
            chosen = order[index * self.recipe.batch : (index + 1) * self.recipe.batch]
            loss = self._loss(chosen, generator)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimiser.step()
            self.average.update(self.network, step)
            yield loss.item()
        self.epoch += 1

    def _loss(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        images, votes = augment(self.data.images[chosen], generator), self.data.votes[chosen]
        targets = functional.one_hot(self.data.labels[chosen], len(fer2013.EMOTIONS)).float()
        if float(torch.rand((), generator=generator)) < self.recipe.mixup_share:
            images, targets, votes = mixup(images, targets, votes, generator)
        label_logits, vote_logits = self.network(images)
        loss = functional.cross_entropy(label_logits, targets, label_smoothing=self.recipe.label_smoothing)
        return loss + self.recipe.votes_weight * functional.cross_entropy(vote_logits, votes)

    def judge(self) -> ClassificationReport:
        """Figures of the averaged weights on PublicTest."""
        images = torch.from_numpy(self.data.public.images)
        starts = range(0, len(images), self.recipe.batch)
        batches = [self.average.network.predict(images[start : start + self.recipe.batch])[0] for start in starts]
        return classification_report(torch.cat(batches).numpy(), self.data.public.labels)

    def save(self, path: Path) -> None:
        """Write everything that :meth:`resume` needs, atomically."""
        state = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a file written by :meth:`save`."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best = state["epoch"], state["best"]


def load_network(checkpoint: Path) -> ExpressionNetwork:
    """The averaged network of a checkpoint, ready to predict or export."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    recipe = Recipe(**state["recipe"])
    network = ExpressionNetwork(recipe.pixels, recipe.dropout)
    network.load_state_dict(state["average"])
    return network.eval().requires_grad_(False)


def train(training: Training, run: Path) -> None:
    """Run the remaining epochs; after each, judge, log and save into the run folder."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        total = training.recipe.epochs * training.steps
        task = progress.add_task("training", total=total, completed=training.epoch * training.steps, rate="")
        while training.epoch < training.recipe.epochs:
            started = time.monotonic()
            loss = _train_epoch(training, progress, task)
            report = training.judge()
            best = report.accuracy > training.best
            training.best = max(training.best, report.accuracy)
            training.save(run / "last.pt")
            if best:
                training.save(run / "best.pt")
            _log_epoch(run, training, loss, report, time.monotonic() - started)


def _train_epoch(training: Training, progress: Progress, task: TaskID) -> float:
    progress.update(task, description=f"epoch {training.epoch + 1}/{training.recipe.epochs}")
    started, losses = time.monotonic(), []
    for loss in training.run_epoch():
        losses.append(loss)
        rate = len(losses) * training.recipe.batch / (time.monotonic() - started)
        progress.update(task, advance=1, rate=f"{rate:.0f} faces/s, loss {loss:.3f}")
    return sum(losses) / len(losses)


def _log_epoch(run: Path, training: Training, loss: float, report: ClassificationReport, seconds: float) -> None:
    line = {
        "epoch": training.epoch,
        "loss": round(loss, 4),
        "accuracy": round(report.accuracy, 4),
        "macro_f1": round(report.macro_f1, 4),
        "ece": round(report.ece, 4),
        "seconds": round(seconds, 1),
    }
    with (run / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write(json.dumps(line) + "\n")
    left = (training.recipe.epochs - training.epoch) * seconds / 60
    print(
        f"epoch {training.epoch}/{training.recipe.epochs}: loss {loss:.3f}, PublicTest {report.accuracy:.2%}, "
        f"macro F1 {report.macro_f1:.3f}, {seconds:.0f} s, about {left:.0f} min left",
        flush=True,
    )


def _parameter_groups(network: ExpressionNetwork, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only; biases and batch-norm scales are left free."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _find_init(given: Path | None) -> Path:
    matches = [given] if given else [m for place in _INIT_PLACES for m in sorted(place.glob(_INIT_PATTERN))]
    if not matches or not matches[0].is_file():
        places = given or ", ".join(str(place / _INIT_PATTERN) for place in _INIT_PLACES)
        raise fer2013.DatasetError(
            f"no ImageNet weights of {BACKBONE} found: looked for {places}; give them with --init FILE, "
            "or start from random weights with --from-scratch"
        )
    return matches[0]


def _find_ferplus(given: Path | None, data: Path) -> Path | None:
    if given is not None:
        return given
    return next(iter(sorted(data.parent.glob("ferplus*.csv"))), None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.trainers.emotion_trainer", description="Train the facial expression model on FER2013."
    )
    parser.add_argument("--epochs", type=int, help=f"default: {Recipe.epochs}; with --resume: move the end of the run")
    parser.add_argument("--pixels", type=int, default=Recipe.pixels, help="side of the network's input")
    parser.add_argument("--batch", type=int, default=Recipe.batch, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="default: %(default)s")
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--ferplus", type=Path, help="FER+ votes; default: ferplus*.csv beside the data, if there")
    parser.add_argument("--init", type=Path, help=f"ImageNet weights for timm's {BACKBONE}")
    parser.add_argument("--from-scratch", action="store_true", help="start from random weights")
    parser.add_argument("--run", type=Path, help="run folder; default: runs/expression-<date>-<time>")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="continue the run in this folder")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        run = _start(options)
    except (fer2013.DatasetError, ValueError, OSError) as error:
        print(f"emotion_trainer: {error}", file=sys.stderr)
        return 2
    print(f"run folder: {run}; export it with: python -m training.export.expression --run {run} --out expression.onnx")
    return 0


def _start(options: argparse.Namespace) -> Path:
    data_path = fer2013.find_data(options.data)
    data = load_training_data(data_path, _find_ferplus(options.ferplus, data_path))
    if options.resume:
        run, recipe, init = options.resume, _resumed_recipe(options.resume, options.epochs), None
    else:
        run = options.run or Path("runs") / time.strftime("expression-%Y%m%d-%H%M%S")
        epochs = Recipe.epochs if options.epochs is None else options.epochs
        recipe = Recipe(epochs=epochs, pixels=options.pixels, batch=options.batch, seed=options.seed)
        init = None if options.from_scratch else _find_init(options.init)
    training = Training(recipe, data, init)
    if options.resume:
        training.resume(run / "last.pt")
    else:
        run.mkdir(parents=True)
        config = {"recipe": asdict(recipe), "init": init.name if init else None, "data": data.summary}
        (run / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    print(f"{data.summary['training_images_used']} faces, {data.summary['dropped']} dropped", flush=True)
    train(training, run)
    return Path(run)


def _resumed_recipe(run: Path, epochs: int | None) -> Recipe:
    """The recipe of a run, with its end moved if asked; config.json then keeps after which epoch, and from where."""
    path = run / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    recipe = Recipe(**config["recipe"])
    if epochs is None or epochs == recipe.epochs:
        return recipe
    done = len((run / "history.jsonl").read_text(encoding="utf-8").splitlines())
    config.setdefault("end_moved", []).append({"after_epoch": done, "from": recipe.epochs, "to": epochs})
    config["recipe"]["epochs"] = epochs
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return replace(recipe, epochs=epochs)


if __name__ == "__main__":
    sys.exit(main())
