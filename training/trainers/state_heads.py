"""The state heads: small ensembles of regularised multinomial logistic regressions on pooled windows.

A label may leave several classes possible (a verdict says whether the event was there, not how strong it was), so the
loss of a window is -log of the probability summed over the allowed classes.

Ordinal tasks come in two forms. Free: one weight vector per class under a strong prior, as the online learner fits
them; the order of the classes is learned. Ordered: the adjacent-category logit model (Agresti 2010, Analysis of Ordinal
Categorical Data, section 4.1), log p(c + 1) / p(c) = a(c) + w . x with one w for all c. It is a softmax whose weights
are w times the rank of the class, so both forms are one kind of head, whose class probabilities add up for a verdict.

`training.trainers.ensembles` says who is left out of which member, and how an ensemble is calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from training.evaluation.gate import class_balance
from training.feature_space import SECOND_SPACE, FeatureSpace
from training.pooling import seen_columns
from training.trainers.ensembles import Array, HeadOutput, bootstrap, calibrated, head_output, held_out, unseen

X_CLIP = 6.0
"""Standardised features are clipped here, so that one wild column cannot decide a window."""

PRIOR_PRECISION = 50.0
"""Of the zero-mean normal prior on each weight."""

STEPS = 150
"""Of L-BFGS at most; it stops earlier once it has arrived. The loss is convex, so a warm start changes how soon the
optimum is reached, not where it lies: the old labels are replayed, and a prior around the incumbent would count them
twice. Stopping far from it would make a candidate differ from its incumbent by more than the new labels say."""

MOST_BALANCE = 10.0
"""No label counts more than so many times for the rareness of its class."""


@dataclass(frozen=True)
class TaskHead:
    """An ensemble of K linear heads over D pooled features and C classes.

    Attributes:
        centre, scale: float32 [D]; features are standardised with them, and unseen ones stand at the centre.
        weights: float32 [K, D, C].
        bias: float32 [K, C].
        temperature: what the logits are divided by.
        space: what the pooled columns are.
    """

    task: Task
    centre: Float32
    scale: Float32
    weights: Float32
    bias: Float32
    temperature: float
    space: FeatureSpace = SECOND_SPACE

    def predict(self, pooled: Array) -> HeadOutput:
        """Probabilities and uncertainty for pooled windows [N, D]."""
        logits = _logits(standardise(pooled, self.centre, self.scale, self.space), self.weights, self.bias)
        return head_output(logits, self.temperature)


def fit_head(
    task: Task,
    pooled: Array,
    allowed: NDArray[np.bool_],
    weights: Array,
    groups: Sequence[str],
    warm_start: TaskHead | None = None,
    members: int = 8,
    seed: int = 0,
    space: FeatureSpace = SECOND_SPACE,
    ordered: bool = False,
) -> TaskHead:
    """Fit one task's head; the same arguments give the same head.

    Args:
        task: what is estimated.
        pooled: float [N, D].
        allowed: bool [N, C], the classes that each label leaves possible, at least one a row.
        weights: float [N], 0 or more: how much each label counts (confidence, rater, age), before class balancing.
        groups: the N windows' participants.
        warm_start: the incumbent; ignored when its classes or its number of members differ.
        members: K, size of the ensemble.
        seed: of the resampling.
        space: what the D columns are.
        ordered: whether an ordinal task takes the ordered form; see the module.

    Raises:
        ValueError: if the shapes do not fit, a row allows no class, or no weight is above 0.
    """
    _check(task, pooled, allowed, weights, groups, space)
    centre, scale = centre_and_scale(pooled, space)
    x = standardise(pooled, centre, scale, space)
    balanced = class_balance(allowed, weights, MOST_BALANCE)
    resampled = balanced * bootstrap(groups, held_out(groups, members), seed)
    start = _rebase(warm_start, task, members, centre, scale)
    ranks = class_ranks(task) if ordered else np.eye(len(task.classes), dtype=np.float32)
    matrix, bias = _optimise(x, allowed, resampled, start, ranks)
    temperature, bias = calibrated(_logits(x, matrix, bias), bias, allowed, balanced, groups, unseen(groups, resampled))
    return TaskHead(task, centre, scale, matrix, bias, temperature, space)


def standardise(pooled: Array, centre: Float32, scale: Float32, space: FeatureSpace = SECOND_SPACE) -> Float32:
    """Pooled windows [N, D] around 0 with spread 1; what was not seen is 0, the centre."""
    x = np.clip((pooled.astype(np.float32) - centre) / scale, -X_CLIP, X_CLIP)
    return np.where(seen_columns(pooled, space), x, np.float32(0))


def class_ranks(task: Task) -> Float32:
    """How the R numbers that a model gives a window move its C logits, float32 [R, C].

    The identity, but for an ordinal task the ranks of its classes around 0, [1, C].
    """
    count = len(task.classes)
    ranks = np.arange(count)[None] - (count - 1) / 2 if task.kind == "ordinal" else np.eye(count)
    return ranks.astype(np.float32)


def _check(
    task: Task, pooled: Array, allowed: NDArray[np.bool_], weights: Array, groups: Sequence[str], space: FeatureSpace
) -> None:
    count = len(groups)
    if (pooled.shape, allowed.shape, weights.shape) != ((count, space.n_pooled), (count, len(task.classes)), (count,)):
        raise ValueError(f"{count} windows do not fit {pooled.shape}, {allowed.shape} and {weights.shape}")
    if not np.isfinite(pooled).all():
        raise ValueError("pooled windows must be finite")
    if not allowed.any(1).all() or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError("every window must allow a class, and weights must be finite, 0 or more, and not all 0")


def centre_and_scale(pooled: Array, space: FeatureSpace) -> tuple[Float32, Float32]:
    """Mean and standard deviation of each column over the windows that saw it; 0 and 1 where that says nothing."""
    seen = seen_columns(pooled, space)
    count = np.maximum(seen.sum(0), 1)
    centre = np.where(seen, pooled, 0.0).sum(0) / count
    scale = np.sqrt((np.where(seen, pooled - centre, 0.0) ** 2).sum(0) / count)
    constant = scale < 1e-6 * np.maximum(np.abs(centre), 1.0)
    return centre.astype(np.float32), np.where(constant, 1.0, scale).astype(np.float32)


def _rebase(
    incumbent: TaskHead | None, task: Task, members: int, centre: Float32, scale: Float32
) -> tuple[Float32, Float32] | None:
    """The incumbent's weights and bias, rewritten for features standardised with another centre and scale."""
    shape = (members, len(centre), len(task.classes))
    if incumbent is None or incumbent.task.classes != task.classes or incumbent.weights.shape != shape:
        return None
    weights = incumbent.weights * (scale / incumbent.scale)[:, None]
    shift = (centre - incumbent.centre) / incumbent.scale
    return weights.astype(np.float32), (incumbent.bias + np.einsum("d,kdc->kc", shift, incumbent.weights)).astype(
        np.float32
    )


def _optimise(
    x: Float32,
    allowed: NDArray[np.bool_],
    counts: NDArray[np.float64],
    start: tuple[Float32, Float32] | None,
    ranks: Float32,
) -> tuple[Float32, Float32]:
    """Maximum a posteriori weights [K, D, C] and biases [K, C] of all members at once, by full-batch L-BFGS.

    The weights are some [K, D, R] times `ranks` [R, C]; the prior is on their product, whose rows are orthogonal.
    They are sought along the principal axes of the features, each in units of what the labels and the prior leave open
    there (the curvature's bound of Boehning 1992, Annals of the Institute of Statistical Mathematics 44(1)), which
    takes a third of the steps or fewer.
    """
    members, columns, classes = len(counts), x.shape[1], allowed.shape[1]
    first_weights, first_bias = start or (
        np.zeros((members, columns, classes), np.float32),
        np.zeros((members, classes), np.float32),
    )
    lengths = np.square(ranks).sum(1)
    features, forbidden = torch.from_numpy(x), torch.from_numpy(~allowed)[:, None]
    seen = torch.from_numpy(np.ascontiguousarray(counts.T, np.float32))
    mixing, precision = torch.from_numpy(ranks), torch.from_numpy(np.tile(PRIOR_PRECISION * lengths, members))
    # In single precision it fails on some feature tables of few windows, whose curvature is nought along most axes.
    curvature, axes = (part.float() for part in torch.linalg.eigh((features.T @ features).double()))
    units = (0.5 * curvature.clamp(min=0) + PRIOR_PRECISION).rsqrt()
    turned, bias_unit = features @ (axes * units), (0.5 * len(x) + 1) ** -0.5
    # All members side by side as [D, K R]: one matrix product, several times faster than one for each.
    projected = first_weights @ (ranks.T / lengths)
    side_by_side = torch.from_numpy(np.ascontiguousarray(projected.transpose(1, 0, 2).reshape(columns, -1)))
    weights = ((axes.T @ side_by_side) / units[:, None]).requires_grad_()
    bias = torch.from_numpy(first_bias / bias_unit).requires_grad_()
    penalty = units.square()[:, None] * precision
    optimiser = torch.optim.LBFGS(
        [weights, bias],
        max_iter=STEPS,
        tolerance_grad=3e-6,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = (turned @ weights).view(len(x), members, -1) @ mixing + bias * bias_unit
        possible = logits.masked_fill(forbidden, -torch.inf).logsumexp(-1)
        prior = (penalty * weights.square()).sum() + (bias * bias_unit).square().sum()
        surprise = (seen * (logits.logsumexp(-1) - possible)).sum()
        total: torch.Tensor = (0.5 * prior + surprise) / len(x)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = (axes * units) @ weights.detach()
    fitted = found.numpy().reshape(columns, members, -1).transpose(1, 0, 2) @ ranks
    return np.ascontiguousarray(fitted), bias.detach().numpy() * np.float32(bias_unit)


def _logits(x: Float32, weights: Float32, bias: Float32) -> Float32:
    """[N, D] and [K, D, C] -> [N, K, C]."""
    logits: Float32 = np.swapaxes(x @ weights, 0, 1) + bias
    return logits
