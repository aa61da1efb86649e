"""What ensembles of state heads share: who is left out of which member, the calibration, and what members say together.

Member k never sees the people of fold k (a fold is a hash of the person's name, so it is the same in every version and
nothing leaks through a warm start). What it does see is resampled with Poisson(1) counts (online bagging, Oza and
Russell 2001), which leaves out more people. The temperature and the place of the lines between the classes are fitted
on what the members that never saw a person predict for that person, averaged as the ensemble is.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sentry_proto.types import Float32
from training.active_learning.uncertainty import entropy, mutual_information

PEOPLE_TO_RESAMPLE = 5
"""From so many people on, people are resampled; below, windows are."""

TEMPERATURE_SPREAD = 0.25
SHIFT_SPREAD = 1.0
"""Standard deviations of the priors on log temperature and on what is added to the logits of a class, around 0: a few
people must not say much about them."""

CALIBRATION_STEPS = 50
"""Of L-BFGS at most, over one number more than there are classes."""

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


def head_output(logits: Float32, temperature: float) -> HeadOutput:
    """What members with these logits [N, K, C] say at a temperature."""
    members = softmax(logits / np.float32(temperature)).astype(np.float32)
    mean = members.mean(1)
    return HeadOutput(
        members=members,
        mean=mean,
        entropy=entropy(mean).astype(np.float32),
        mutual_information=mutual_information(members).astype(np.float32),
    )


def held_out(groups: Sequence[str], members: int) -> NDArray[np.bool_]:
    """Which windows each member never sees, bool [K, N]; a member that would see none sees all."""
    folds = np.array([zlib.crc32(group.encode()) % members for group in groups])
    left_out: NDArray[np.bool_] = folds[None] == np.arange(members)[:, None]
    left_out[left_out.all(1)] = False
    return left_out


def bootstrap(groups: Sequence[str], left_out: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """How often each member sees each window, float [K, N], scaled so that every member sees N windows.

    What a person's windows draw depends on the person and the seed alone, so that a candidate sees the old labels as
    its incumbent did and the two differ by what is new.
    """
    members = len(left_out)
    names, index = np.unique(np.array(groups), return_inverse=True)
    counts = np.zeros(left_out.shape)
    for number, name in enumerate(names):
        windows = np.flatnonzero(index == number)
        draws = len(windows) if len(names) < PEOPLE_TO_RESAMPLE else 1
        generator = np.random.default_rng((seed, zlib.crc32(name.encode())))
        counts[:, windows] = generator.poisson(1.0, (draws, members)).T
    counts *= ~left_out
    counts = np.where(counts.any(1, keepdims=True), counts, ~left_out).astype(np.float64)
    scaled: NDArray[np.float64] = counts * len(groups) / counts.sum(1, keepdims=True)
    return scaled


def unseen(groups: Sequence[str], counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which windows are of people that a member has seen no window of, bool [K, N]."""
    _, index = np.unique(np.array(groups), return_inverse=True)
    seen = np.stack([np.bincount(index, weights=row) for row in counts])
    never: NDArray[np.bool_] = (seen == 0)[:, index]
    return never


def calibrated(
    logits: Float32,
    bias: Float32,
    allowed: NDArray[np.bool_],
    weights: NDArray[np.float64],
    groups: Sequence[str],
    never_seen: NDArray[np.bool_],
) -> tuple[float, Float32]:
    """The temperature, and the biases [K, C] moved by as much for every member, with the least loss on people unseen.

    Bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020, arXiv:1901.06852). Members are fitted
    closely to the few labels that show a rare state, so new windows of it score lower than those did; what is said of
    people whom a member never saw tells by how much, and where the line between the classes belongs.

    Args:
        logits: float32 [N, K, C].
        bias: float32 [K, C], of the members; already in the logits.
        allowed: bool [N, C], the classes that each label leaves possible.
        weights: float64 [N].
        groups: the N windows' people. As for the lines, people count and not their windows, which err alike.
        never_seen: bool [K, N], see `unseen`; where no window is, the temperature is 1 and nothing moves.
    """
    judged = never_seen.any(0)
    if not judged.any():
        return 1.0, bias
    scores = torch.from_numpy(logits[judged].astype(np.float64))
    counted = torch.from_numpy(weights[judged])
    asked = torch.from_numpy(never_seen.T[judged])
    shares = asked / asked.sum(1, keepdim=True)
    possible = shares.log()[:, :, None].where(torch.from_numpy(allowed[judged])[:, None], -torch.inf)
    alike = judged.sum() / len(np.unique(np.array(groups)[judged]))
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(logits.shape[-1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_temperature, shift], max_iter=CALIBRATION_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        probabilities = (scores * (-log_temperature).exp() + shift).log_softmax(-1)
        evidence = counted @ (probabilities + possible).flatten(1).logsumexp(-1)
        prior = (log_temperature / TEMPERATURE_SPREAD).square() + alike * (shift / SHIFT_SPREAD).square().sum()
        total: torch.Tensor = 0.5 * prior - evidence
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    temperature = float(log_temperature.detach().exp())
    return temperature, bias + np.float32(temperature) * shift.detach().numpy().astype(np.float32)


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    result: Array = exponentials / exponentials.sum(-1, keepdims=True)
    return result
