"""One training run of the expression model: its data, and its state between epochs.

AdamW with a cosine learning rate after a warm-up; label smoothing; mixup on a share of the batches; a moving average of
the weights is what is judged and exported; a second head, dropped at export, learns the FER+ vote shares (FER2013's own
labels are noisy); teachers, if given, soften the labels. Training images that also stand in a held-out part are left
out, and PublicTest alone chooses the epoch. Everything an epoch draws comes from (seed, epoch, worker), so that a
resumed run goes on as if it had not stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.datasets import fer2013
from training.datasets.transforms import augment, mixup
from training.evaluation.metrics import ClassificationReport, classification_report
from training.trainers.emotion_network import ExpressionNetwork, MovingAverage
from training.trainers.emotion_recipe import Recipe
from training.trainers.emotion_teacher import annotator_shares, describe_teacher, teacher_shares

CLASSES = len(fer2013.EMOTIONS)
LARGEST_GRADIENT = 5.0


@dataclass(frozen=True)
class TrainingData:
    """Images in memory, as tensors.

    Attributes:
        images: uint8 [n, 48, 48].
        labels: int64 [n].
        votes: float32 [n, 7], FER+ vote shares; zeros where unknown.
        teacher: float32 [n, 7], the teachers' probabilities; zeros where there is none.
        public: the part that chooses the epoch.
        summary: counts and digests, as they go into config.json and the model card.
    """

    images: Tensor
    labels: Tensor
    votes: Tensor
    teacher: Tensor
    public: fer2013.Faces
    summary: dict[str, Any]


def load_training_data(data: Path, ferplus: Path | None, teachers: Sequence[Path] = ()) -> TrainingData:
    """Read, clean and join. Without FER+ votes the second head stays untrained.

    Raises:
        fer2013.DatasetError: a file is missing or not what it should be.
        ModelError: a teacher is not an expression model.
    """
    faces = fer2013.load_fer2013(data)
    training, public = faces.split("Training"), faces.split("PublicTest")
    # Where the data at hand includes PrivateTest, its duplicates must go as well: someone will measure on it.
    held_out = [public, *([faces.split("PrivateTest")] if "PrivateTest" in faces.usage else [])]
    keep, cleaning = fer2013.clean_training(training, held_out)
    kept = training.where(keep)
    unknown = np.zeros((len(kept), CLASSES), np.float32)
    votes = unknown if ferplus is None else fer2013.load_ferplus(ferplus, kept.rows)
    summary = {
        "training_images": len(training),
        "training_images_used": len(kept),
        "dropped": asdict(cleaning),
        "with_votes": int((votes.sum(1) > 0).sum()),
        "teachers": [describe_teacher(path) for path in teachers],
        "public_test_images": len(public),
        "rows_sha256": hashlib.sha256(kept.rows.tobytes()).hexdigest(),
    }
    return TrainingData(
        images=torch.from_numpy(kept.images),
        labels=torch.from_numpy(kept.labels),
        votes=torch.from_numpy(votes),
        teacher=torch.from_numpy(teacher_shares(teachers, kept.images) if teachers else unknown),
        public=public,
        summary=summary,
    )


@dataclass(frozen=True)
class Place:
    """Where a worker trains: one of `workers` processes, each with its share of every batch."""

    device: torch.device
    worker: int = 0
    workers: int = 1

    def mixed_precision(self, on_cpu: bool) -> AbstractContextManager[None]:
        """bfloat16, on a GPU always."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on_cpu or self.device.type == "cuda")


class Training:
    """State of one run: network, its moving average, optimiser, and how far it has come."""

    def __init__(self, recipe: Recipe, data: TrainingData, init: Path | None, place: Place | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.place = recipe, data, place or Place(torch.device("cpu"))
        self.network = ExpressionNetwork(recipe.backbone, recipe.pixels, recipe.dropout)
        if init is not None:
            self.network.load_start(init)
        self.network.to(self.place.device)
        self.average = MovingAverage(self.network, recipe.average_decay)
        self.optimiser = torch.optim.AdamW(_parameter_groups(self.network, recipe.weight_decay))
        self.model: nn.Module = self.network
        if self.place.workers > 1:
            self.model = nn.parallel.DistributedDataParallel(self.network)
        self.targets = _targets(recipe, data)
        self.class_weights = _class_weights(data.labels, recipe.class_weighting).to(self.place.device)
        self.epoch = 0
        self.best = 0.0
        self.best_epoch = 0
        self.history: list[dict[str, float]] = []

    @property
    def steps(self) -> int:
        """Batches per epoch; an incomplete last one is left out, as batch statistics of a few images mislead."""
        return max(1, len(self.data.images) // self.recipe.batch)

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or patience is at its end."""
        tired = 0 < self.recipe.patience <= self.epoch - self.best_epoch
        return self.epoch >= self.recipe.epochs or tired

    def run_epoch(self) -> Iterator[float]:
        """Train one epoch, yielding the loss of each batch."""
        drawn_from = self.recipe.seed * 100_003 + self.epoch
        order = torch.randperm(len(self.data.images), generator=torch.Generator().manual_seed(drawn_from))
        torch.manual_seed(drawn_from * self.place.workers + self.place.worker)
        self.model.train()
        for index in range(self.steps):
            step = self.epoch * self.steps + index
            for group in self.optimiser.param_groups:
                frozen = group["backbone"] and self.epoch < self.recipe.frozen_epochs
                group["lr"] = 0.0 if frozen else self.recipe.learning_rate_at(step / self.steps)
            batch = order[index * self.recipe.batch : (index + 1) * self.recipe.batch]
            loss = self._loss(batch[self.place.worker :: self.place.workers])
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
            self.optimiser.step()
            self.average.update(self.network, step)
            yield loss.item()
        self.epoch += 1

    def _loss(self, chosen: Tensor) -> Tensor:
        device = self.place.device
        images = augment(self.data.images[chosen].to(device))
        targets = self.targets[chosen].to(device)
        if float(torch.rand(())) < self.recipe.mixup_share:
            images, targets = mixup(images, targets, self.recipe.mixup_alpha)
        with self.place.mixed_precision(self.recipe.bfloat16):
            emotion, votes = self.model(images)
        shares, vote_shares = torch.split(targets, CLASSES, dim=1)
        loss = functional.cross_entropy(
            emotion.float(), shares, self.class_weights, label_smoothing=self.recipe.label_smoothing
        )
        return loss + self.recipe.votes_weight * functional.cross_entropy(votes.float(), vote_shares)

    def judge(self) -> ClassificationReport:
        """Figures of the averaged weights on PublicTest; remembers the best epoch."""
        images = torch.from_numpy(self.data.public.images).to(self.place.device)
        batches = [self.average.network.predict(part)[0].cpu() for part in torch.split(images, self.recipe.batch)]
        report = classification_report(torch.cat(batches).numpy(), self.data.public.labels)
        if report.accuracy > self.best:
            self.best, self.best_epoch = report.accuracy, self.epoch
        return report

    def save(self, path: Path) -> None:
        """Write everything that :meth:`resume` needs, atomically."""
        state = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "history": self.history,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a file written by :meth:`save`."""
        state = torch.load(path, map_location=self.place.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best, self.best_epoch = state["epoch"], state["best"], state["best_epoch"]
        self.history = state["history"]


def load_network(checkpoint: Path) -> ExpressionNetwork:
    """The averaged network of a checkpoint, ready to predict or export."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    recipe = Recipe(**state["recipe"])
    network = ExpressionNetwork(recipe.backbone, recipe.pixels, recipe.dropout)
    network.load_state_dict(state["average"])
    return network.eval().requires_grad_(False)


def _targets(recipe: Recipe, data: TrainingData) -> Tensor:
    """Of the first head and the second, float32 [n, 14]."""
    labels = functional.one_hot(data.labels, CLASSES).float()
    first = torch.lerp(labels, data.teacher, recipe.teacher_weight)
    if recipe.annotator_weight > 0:
        annotators = torch.from_numpy(annotator_shares(data.votes.numpy(), data.labels.numpy()))
        first += recipe.annotator_weight * (annotators - labels)
    return torch.cat([first, data.votes], dim=1)


def _class_weights(labels: Tensor, exponent: float) -> Tensor:
    """float32 [7] with mean 1 over the faces; for a class that does not occur it says nothing."""
    counts = torch.bincount(labels, minlength=CLASSES).float()
    weights = counts.clamp_min(1) ** -exponent
    return weights * counts.sum() / (weights * counts).sum()


def _parameter_groups(network: ExpressionNetwork, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only; biases and batch-norm scales are left free."""
    backbone = {id(parameter) for parameter in network.backbone.parameters()}
    return [
        {
            "params": [p for p in network.parameters() if (p.ndim > 1) is decays and (id(p) in backbone) is inside],
            "weight_decay": weight_decay if decays else 0.0,
            "backbone": inside,
        }
        for decays in (True, False)
        for inside in (True, False)
    ]
