"""How the learned fusion layers are trained, jointly with the heads of all tasks and scales.

A window may carry any subset of the labels; what it does not carry adds nothing to the loss. A task's loss is -log of
the probability summed over the classes that the label allows, balanced by class; an ordinal task takes the
adjacent-category form (`training.trainers.state_heads.class_ranks`); a scale's is half the squared error of the
standardised rating. The tasks' losses are weighed by learned uncertainty: exp(-s) L + s / 2 (Kendall, Gal and Cipolla
2018, Multi-Task Learning Using Uncertainty to Weigh Losses).

Member k learns from a bootstrap sample of the people outside fold k, and stops where its loss on the people of fold k
is least. The temperature of a task is fitted on the people whom a member has neither learned from nor stopped by.
While training, whole modalities are dropped at random, so that a lost face or a hidden body degrades gently.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from training.evaluation.gate import class_balance
from training.feature_space import FeatureSpace
from training.trainers.ensembles import HeadOutput, bootstrap, calibrated, head_output, unseen
from training.trainers.fusion_network import FusionNetwork, as_tensors
from training.trainers.state_heads import MOST_BALANCE, centre_and_scale, class_ranks
from training.windows import Rows, WindowSet

CHUNK = 512
"""Windows that are answered at once; bounds the memory that it takes."""


@dataclass(frozen=True)
class FusionRecipe:
    """What a training run can be told.

    Attributes:
        members: K, size of the ensemble.
        hidden: H, width of everything.
        epochs, patience: at most so many passes, and so many without a better one for any member.
        batch: windows per step.
        rate, decay: of AdamW; decay applies to weight matrices alone.
        dropout: share of the entries of a window's vector that training blanks.
        modality_dropout: share of the windows that lose each modality in training; never all that were seen.
        seconds: share of a window's seconds that one step of training looks at, drawn at random.
        most: windows that one pass and one look at the people to stop by take at most, drawn at random.
    """

    members: int = 4
    hidden: int = 12
    epochs: int = 20
    patience: int = 4
    batch: int = 128
    rate: float = 1e-2
    decay: float = 2.0
    dropout: float = 0.2
    modality_dropout: float = 0.2
    seconds: float = 0.5
    most: int = 3_000


@dataclass(frozen=True)
class FusionHead:
    """An ensemble of K linear heads on the vectors of K fusion networks.

    Attributes:
        network: what makes the vectors [N, K, H]; heads that were trained together share it.
        weights: float32 [K, H, C].
        bias: float32 [K, C].
        temperature: what the logits are divided by.
    """

    task: Task
    network: FusionNetwork
    weights: Float32
    bias: Float32
    temperature: float

    @property
    def space(self) -> FeatureSpace:
        """The features that it was learned from."""
        return self.network.space

    def predict(self, vectors: Float32) -> HeadOutput:
        """Probabilities and uncertainty for the vectors of N windows, float32 [N, K, H]."""
        return head_output(_affine(vectors, self.weights, self.bias), self.temperature)


@dataclass(frozen=True)
class ScalePredictor:
    """K linear predictors of a rating.

    Attributes:
        weights: float32 [K, H, 1].
        bias: float32 [K, 1].
        centre, spread: of the ratings learned from; predictions are in their units.
    """

    weights: Float32
    bias: Float32
    centre: float
    spread: float

    def predict(self, vectors: Float32) -> NDArray[np.float64]:
        """Mean rating of the members for the vectors of N windows, float64 [N]."""
        standardised: NDArray[np.float64] = _affine(vectors, self.weights, self.bias).mean((1, 2), dtype=np.float64)
        return self.centre + self.spread * standardised


@dataclass(frozen=True)
class Fusion:
    """What was trained together.

    Attributes:
        heads: task name -> head.
        scales: scale name -> predictor.
        epochs: passes until the last member stopped.
    """

    network: FusionNetwork
    heads: Mapping[str, FusionHead]
    scales: Mapping[str, ScalePredictor]
    epochs: int

    def vectors(self, windows: WindowSet, rows: Rows) -> Float32:
        """Vectors of some windows, float32 [n, K, H]."""
        return fused_vectors(self.network, windows, rows)


def fused_vectors(network: FusionNetwork, windows: WindowSet, rows: Rows) -> Float32:
    """What a network makes of some windows, float32 [n, K, H]."""
    result = np.zeros((len(rows), network.members, network.hidden), np.float32)
    with torch.no_grad():
        for first in range(0, len(rows), CHUNK):
            batch = as_tensors(*windows.batch(rows[first : first + CHUNK]))
            result[first : first + CHUNK] = network(*batch).numpy()
    return result


def fit_fusion(
    windows: WindowSet,
    rows: Rows,
    tasks: Sequence[Task],
    seed: int,
    scales: Sequence[str] = (),
    recipe: FusionRecipe | None = None,
) -> Fusion:
    """Train the fusion layers with heads for all tasks and scales; the same arguments give the same weights.

    Args:
        windows: the data.
        rows: the windows to learn from; those without any of the labels are left out.
        tasks: what is estimated; each needs a label.
        seed: of the weights, the resampling and the order of the windows.
        scales: rating scales that are estimated; each needs a rating.
        recipe: default if None.

    Raises:
        InputError: if a task or scale has no label, or all labels are of one person.
    """
    recipe = recipe or FusionRecipe()
    targets = {task.name: _task_target(windows, rows, task) for task in tasks}
    targets |= {name: _scale_target(windows, rows, name) for name in scales}
    labelled = np.flatnonzero(np.sum([target.weights for target in targets.values()], axis=0) > 0)
    rows, targets = rows[labelled], {name: target.take(labelled) for name, target in targets.items()}
    people = windows.people[rows].tolist()
    stopping = _stopping(people, recipe.members)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        counts = bootstrap(people, stopping, seed)
        fitting = _Fitting(windows, rows, list(targets.values()), counts, stopping, recipe)
        epochs = fitting.run()
    never = unseen(people, counts + stopping)
    vectors = fused_vectors(fitting.network, windows, rows)
    heads = {
        task.name: _head(task, fitting.network, *fitting.parameters(index), vectors, targets[task.name], people, never)
        for index, task in enumerate(tasks)
    }
    ratings = {
        name: ScalePredictor(*fitting.parameters(len(tasks) + index), targets[name].centre, targets[name].spread)
        for index, name in enumerate(scales)
    }
    return Fusion(fitting.network, heads, ratings, epochs)


@dataclass(frozen=True)
class _Target:
    """One thing to learn from n windows.

    Attributes:
        weights: float64 [n], 0 where there is no label; they sum to the number of labels.
        labels: bool [n, C], the classes that are allowed; or float [n, 1], standardised ratings.
        ranks: float32 [R, C], see `class_ranks`.
        centre, spread: of the ratings.
    """

    weights: NDArray[np.float64]
    labels: NDArray[Any]
    ranks: Float32
    centre: float = 0.0
    spread: float = 1.0

    def take(self, chosen: Rows) -> _Target:
        return _Target(self.weights[chosen], self.labels[chosen], self.ranks, self.centre, self.spread)


def _task_target(windows: WindowSet, rows: Rows, task: Task) -> _Target:
    allowed = windows.allowed[task.name][rows]
    labelled = np.where(allowed.all(1), 0.0, 1.0)
    if not labelled.any():
        raise InputError(f"{task.name}: none of the {len(rows)} windows to learn from has a label")
    return _Target(class_balance(allowed, labelled, MOST_BALANCE), allowed, class_ranks(task))


def _scale_target(windows: WindowSet, rows: Rows, name: str) -> _Target:
    ratings = windows.scales[name][rows]
    rated = ~np.isnan(ratings)
    if not rated.any():
        raise InputError(f"{name}: none of the {len(rows)} windows to learn from has a rating")
    centre, spread = float(ratings[rated].mean()), float(ratings[rated].std()) or 1.0
    standardised = np.where(rated, (ratings - centre) / spread, 0.0)[:, None]
    return _Target(
        rated.astype(np.float64), standardised.astype(np.float32), np.ones((1, 1), np.float32), centre, spread
    )


def _stopping(people: Sequence[str], members: int) -> NDArray[np.bool_]:
    """The windows by which each member stops, bool [K, n]: those of every K-th person, in the order of a hash."""
    names = sorted(set(people), key=lambda name: zlib.crc32(name.encode()))
    if len(names) < 2:
        raise InputError("learned fusion needs labelled windows of at least two people")
    folds = min(max(members, 2), len(names))  # a lone member, too, needs people to learn from
    fold = np.array([names.index(name) % folds for name in people])
    stopping: NDArray[np.bool_] = fold[None] == (np.arange(members) % folds)[:, None]
    return stopping


def _head(
    task: Task,
    network: FusionNetwork,
    weights: Float32,
    bias: Float32,
    vectors: Float32,
    target: _Target,
    people: Sequence[str],
    never_seen: NDArray[np.bool_],
) -> FusionHead:
    labelled = target.weights > 0
    logits = _affine(vectors[labelled], weights, bias)
    temperature, bias = calibrated(
        logits,
        bias,
        target.labels[labelled],
        target.weights[labelled],
        np.array(people)[labelled].tolist(),
        never_seen[:, labelled],
    )
    return FusionHead(task, network, weights, bias, temperature)


class _Fitting:
    """One run of the optimiser. Axis 1 of every parameter is the member."""

    def __init__(
        self,
        windows: WindowSet,
        rows: Rows,
        targets: Sequence[_Target],
        counts: NDArray[np.float64],
        stopping: NDArray[np.bool_],
        recipe: FusionRecipe,
    ) -> None:
        self._windows, self._rows, self._recipe = windows, rows, recipe
        self._targets = [_TorchTarget(target, counts, stopping) for target in targets]
        self.network = _fresh_network(windows, rows, recipe)
        self._judged = torch.randperm(len(rows))[: recipe.most]
        members, hidden = recipe.members, recipe.hidden
        self._weights = [nn.Parameter(torch.zeros(1, members, hidden, len(t.ranks))) for t in targets]
        self._biases = [nn.Parameter(torch.zeros(1, members, t.ranks.shape[1])) for t in targets]
        self._uncertainty = nn.Parameter(torch.zeros(len(targets), members))
        self._all = [*self.network.parameters(), *self._weights, *self._biases, self._uncertainty]

    def run(self) -> int:
        """Train until no member gets better; leaves each member at its best. Returns the number of epochs."""
        matrices = [*self.network.encode, self.network.project, *self._weights]
        others = [parameter for parameter in self._all if not any(parameter is matrix for matrix in matrices)]
        groups = [{"params": matrices, "weight_decay": self._recipe.decay}, {"params": others, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=self._recipe.rate)
        best = [parameter.detach().clone() for parameter in self._all]
        least, since, epoch = torch.full((self._recipe.members,), torch.inf), 0, 0
        while epoch < self._recipe.epochs and since < self._recipe.patience:
            epoch += 1
            self._pass(optimiser)
            losses = self._stopping_losses(epoch)
            better = losses < least
            least = torch.where(better, losses, least)
            since = 0 if bool(better.any()) else since + 1
            for kept, parameter in zip(best, self._all, strict=True):
                kept[:, better] = parameter.detach()[:, better]
        with torch.no_grad():
            for kept, parameter in zip(best, self._all, strict=True):
                parameter.copy_(kept)
        self.network.requires_grad_(requires_grad=False)
        return epoch

    def parameters(self, index: int) -> tuple[Float32, Float32]:
        """Weights [K, H, C] and bias [K, C] of one target's heads."""
        weights = self._weights[index].detach()[0] @ self._targets[index].ranks
        return weights.numpy(), self._biases[index].detach()[0].numpy()

    def _pass(self, optimiser: torch.optim.Optimizer) -> None:
        shuffled = torch.randperm(len(self._rows))[: self._recipe.most]
        looked_at = max(round(self._recipe.seconds * self._windows.length), 1)
        for chosen in torch.split(shuffled, self._recipe.batch):
            values, coverage, baseline = as_tensors(*self._windows.batch(self._rows[chosen.numpy()]))
            some = torch.randperm(self._windows.length)[:looked_at]
            kept = _without_modalities(coverage[:, some], self._recipe.modality_dropout)
            vectors = self.network(values[:, some], kept, baseline)
            vectors = nn.functional.dropout(vectors, self._recipe.dropout)
            losses = torch.stack(
                [
                    (target.surprises(self._logits(index, vectors), chosen) * target.counts[chosen]).mean(0)
                    for index, target in enumerate(self._targets)
                ]
            )
            total = (torch.exp(-self._uncertainty) * losses + 0.5 * self._uncertainty).sum()
            optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def _stopping_losses(self, epoch: int) -> Tensor:
        """Each member's loss on the people it stops by, [K]; falls for ever where those have no label."""
        vectors = torch.from_numpy(fused_vectors(self.network, self._windows, self._rows[self._judged.numpy()]))
        stopping = [target.stopping[self._judged] for target in self._targets]
        with torch.no_grad():
            losses = torch.stack(
                [
                    (target.surprises(self._logits(index, vectors), self._judged) * stopping[index]).sum(0)
                    for index, target in enumerate(self._targets)
                ]
            )
        labelled = torch.stack(stopping).sum((0, 1))
        return torch.where(labelled > 0, losses.sum(0), -float(epoch))

    def _logits(self, index: int, vectors: Tensor) -> Tensor:
        """[n, K, H] -> [n, K, C]."""
        raw = (vectors.transpose(0, 1) @ self._weights[index][0]).transpose(0, 1)
        return raw @ self._targets[index].ranks + self._biases[index]


class _TorchTarget:
    """A target with what each member learns from (`counts` [n, K], mean 1) and stops by (`stopping` [n, K])."""

    def __init__(self, target: _Target, counts: NDArray[np.float64], stopping: NDArray[np.bool_]) -> None:
        self.ranks = torch.from_numpy(target.ranks)
        self.counts = _shares(counts * target.weights) * len(target.weights)
        self.stopping = _shares(stopping * target.weights)
        self._labels = torch.from_numpy(target.labels)

    def surprises(self, logits: Tensor, chosen: Tensor) -> Tensor:
        """The loss of each window and member, [n, K]."""
        labels = self._labels[chosen][:, None]
        if labels.dtype is not torch.bool:
            return 0.5 * (logits - labels).square()[..., 0]
        return logits.logsumexp(-1) - logits.masked_fill(~labels, -torch.inf).logsumexp(-1)


def _shares(weights: NDArray[np.float64]) -> Tensor:
    """Weights [K, n] as [n, K] that sum to 1 over the windows, or to 0 where there are none."""
    total = weights.sum(1, keepdims=True)
    shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return torch.from_numpy(np.ascontiguousarray(shares.T, np.float32))


def _fresh_network(windows: WindowSet, rows: Rows, recipe: FusionRecipe) -> FusionNetwork:
    """Random weights from torch's generator; centre and scale of the raw values from the windows' levels."""
    centre, scale = centre_and_scale(windows.pooled(rows), windows.space)
    count = len(windows.space.features)
    return FusionNetwork(
        windows.space, centre[3 * count : 4 * count], scale[3 * count : 4 * count], recipe.members, recipe.hidden
    )


def _without_modalities(coverage: Tensor, share: float) -> Tensor:
    """Coverage [n, T, M] with whole modalities blanked at random, but never all that were seen."""
    seen = (coverage > 0).any(1)
    kept = seen & (torch.rand(seen.shape) >= share)
    kept = torch.where(kept.any(1, keepdim=True), kept, seen)
    return coverage * kept[:, None]


def _affine(vectors: Float32, weights: Float32, bias: Float32) -> Float32:
    """[N, K, H], [K, H, C] and [K, C] -> [N, K, C]."""
    result: Float32 = np.swapaxes(np.swapaxes(vectors, 0, 1) @ weights, 0, 1) + bias
    return result
