"""The state heads: small ensembles of regularised multinomial logistic regressions on pooled windows.

A label may leave several classes possible (a verdict says whether the event was there, not how strong it was), so the
loss of a window is -log of the probability summed over the allowed classes. Ordinal tasks use the same softmax: with
the few labels of one study, one weight vector per class under a strong prior is as far as the data go, the order of the
classes is learned from them, and a verdict keeps its plain meaning: a sum of class probabilities.

Member k never sees the people of fold k (a fold is a hash of the person's name, so it is the same in every version and
nothing leaks through a warm start). What it does see is resampled with Poisson(1) counts (online bagging, Oza and
Russell 2001), which leaves out more people. The temperature (Guo et al. 2017) is fitted on what the members that never
saw a person predict for that person, averaged as the ensemble is.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from training.active_learning.uncertainty import SMALLEST, entropy, mutual_information
from training.evaluation.gate import class_balance
from training.feature_space import SECOND_SPACE, FeatureSpace
from training.pooling import seen_columns

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

PEOPLE_TO_RESAMPLE = 5
"""From so many people on, people are resampled; below, windows are."""

TEMPERATURES = np.geomspace(0.25, 8.0, 41)
TEMPERATURE_SPREAD = 0.25
"""Standard deviation of the prior on log temperature, around 0: a few people must not say much about it."""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class HeadOutput:
    """What a head says about N windows.

    Attributes:
        members: float32 [N, K, C], class probabilities of each ensemble member.
        mean: float32 [N, C].
        entropy: float32 [N], of the mean, in nats.
        mutual_information: float32 [N], in nats.
    """

    members: Float32
    mean: Float32
    entropy: Float32
    mutual_information: Float32


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
        members = _softmax(logits / np.float32(self.temperature)).astype(np.float32)
        mean = members.mean(1)
        return HeadOutput(
            members=members,
            mean=mean,
            entropy=entropy(mean).astype(np.float32),
            mutual_information=mutual_information(members).astype(np.float32),
        )


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

    Raises:
        ValueError: if the shapes do not fit, a row allows no class, or no weight is above 0.
    """
    _check(task, pooled, allowed, weights, groups, space)
    centre, scale = _centre_and_scale(pooled, space)
    x = standardise(pooled, centre, scale, space)
    balanced = class_balance(allowed, weights, MOST_BALANCE)
    held_out = _held_out(groups, members)
    resampled = balanced * _bootstrap(groups, held_out, seed)
    start = _rebase(warm_start, task, members, centre, scale)
    matrix, bias = _optimise(x, allowed, resampled, start, members)
    temperature = _temperature(_logits(x, matrix, bias), allowed, balanced, _unseen(groups, resampled))
    return TaskHead(task, centre, scale, matrix, bias, temperature, space)


def standardise(pooled: Array, centre: Float32, scale: Float32, space: FeatureSpace = SECOND_SPACE) -> Float32:
    """Pooled windows [N, D] around 0 with spread 1; what was not seen is 0, the centre."""
    x = np.clip((pooled.astype(np.float32) - centre) / scale, -X_CLIP, X_CLIP)
    return np.where(seen_columns(pooled, space), x, np.float32(0))


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


def _centre_and_scale(pooled: Array, space: FeatureSpace) -> tuple[Float32, Float32]:
    """Mean and standard deviation of each column over the windows that saw it; 0 and 1 where that says nothing."""
    seen = seen_columns(pooled, space)
    count = np.maximum(seen.sum(0), 1)
    centre = np.where(seen, pooled, 0.0).sum(0) / count
    scale = np.sqrt((np.where(seen, pooled - centre, 0.0) ** 2).sum(0) / count)
    constant = scale < 1e-6 * np.maximum(np.abs(centre), 1.0)
    return centre.astype(np.float32), np.where(constant, 1.0, scale).astype(np.float32)


def _held_out(groups: Sequence[str], members: int) -> NDArray[np.bool_]:
    """Which windows each member never sees, bool [K, N]; a member that would see none sees all."""
    folds = np.array([zlib.crc32(group.encode()) % members for group in groups])
    held_out: NDArray[np.bool_] = folds[None] == np.arange(members)[:, None]
    held_out[held_out.all(1)] = False
    return held_out


def _bootstrap(groups: Sequence[str], held_out: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """How often each member sees each window, float [K, N], scaled so that every member sees N windows.

    What a person's windows draw depends on the person and the seed alone, so that a candidate sees the old labels as
    its incumbent did and the two differ by what is new.
    """
    members = len(held_out)
    names, index = np.unique(np.array(groups), return_inverse=True)
    counts = np.zeros(held_out.shape)
    for number, name in enumerate(names):
        windows = np.flatnonzero(index == number)
        draws = len(windows) if len(names) < PEOPLE_TO_RESAMPLE else 1
        generator = np.random.default_rng((seed, zlib.crc32(name.encode())))
        counts[:, windows] = generator.poisson(1.0, (draws, members)).T
    counts *= ~held_out
    counts = np.where(counts.any(1, keepdims=True), counts, ~held_out).astype(np.float64)
    scaled: NDArray[np.float64] = counts * len(groups) / counts.sum(1, keepdims=True)
    return scaled


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
    members: int,
) -> tuple[Float32, Float32]:
    """Maximum a posteriori weights [K, D, C] and biases [K, C] of all members at once, by full-batch L-BFGS."""
    columns, classes = x.shape[1], allowed.shape[1]
    first_weights, first_bias = start or (
        np.zeros((members, columns, classes), np.float32),
        np.zeros((members, classes), np.float32),
    )
    features, forbidden = torch.from_numpy(x), torch.from_numpy(~allowed)[:, None]
    seen = torch.from_numpy(np.ascontiguousarray(counts.T, np.float32))
    # All members side by side as [D, K C]: one matrix product, several times faster than one for each.
    side_by_side = np.ascontiguousarray(first_weights.transpose(1, 0, 2).reshape(columns, -1))
    weights, bias = (torch.from_numpy(first.copy()).requires_grad_() for first in (side_by_side, first_bias))
    optimiser = torch.optim.LBFGS(
        [weights, bias],
        max_iter=STEPS,
        tolerance_grad=1e-4,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = (features @ weights).view(len(x), members, classes) + bias
        possible = logits.masked_fill(forbidden, -torch.inf).logsumexp(-1)
        prior = PRIOR_PRECISION * weights.square().sum()
        surprise = (seen * (logits.logsumexp(-1) - possible)).sum()
        total = (0.5 * (prior + bias.square().sum()) + surprise) / len(x)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    fitted = weights.detach().numpy().reshape(columns, members, classes).transpose(1, 0, 2)
    return np.ascontiguousarray(fitted), bias.detach().numpy()


def _unseen(groups: Sequence[str], counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which windows are of people that a member has seen no window of, bool [K, N]."""
    _, index = np.unique(np.array(groups), return_inverse=True)
    seen = np.stack([np.bincount(index, weights=row) for row in counts])
    unseen: NDArray[np.bool_] = (seen == 0)[:, index]
    return unseen


def _temperature(
    logits: Float32, allowed: NDArray[np.bool_], weights: NDArray[np.float64], unseen: NDArray[np.bool_]
) -> float:
    """The temperature with the least loss of the ensembles that never saw the person; 1 where there are none."""
    asked = unseen.T[:, :, None]
    judged = unseen.any(0)
    if not judged.any():
        return 1.0
    evidence = np.zeros(len(TEMPERATURES))
    for number, temperature in enumerate(TEMPERATURES):
        mean = (_softmax(logits / temperature) * asked).sum(1)[judged] / asked.sum(1)[judged]
        evidence[number] = weights[judged] @ np.log(np.maximum((mean * allowed[judged]).sum(-1), SMALLEST))
    prior = 0.5 * (np.log(TEMPERATURES) / TEMPERATURE_SPREAD) ** 2
    return float(TEMPERATURES[int(np.argmin(prior - evidence))])


def _logits(x: Float32, weights: Float32, bias: Float32) -> Float32:
    """[N, D] and [K, D, C] -> [N, K, C]."""
    logits: Float32 = np.swapaxes(x @ weights, 0, 1) + bias
    return logits


def _softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    result: Array = exponentials / exponentials.sum(-1, keepdims=True)
    return result
