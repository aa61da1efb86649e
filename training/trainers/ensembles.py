"""What ensembles of state heads share: who is left out of which member, the temperature, and what members say together.

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
from numpy.typing import NDArray

from sentry_proto.types import Float32
from training.active_learning.uncertainty import SMALLEST, entropy, mutual_information

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


def fit_temperature(
    logits: Float32, allowed: NDArray[np.bool_], weights: NDArray[np.float64], never_seen: NDArray[np.bool_]
) -> float:
    """The temperature with the least loss of the ensembles that never saw the person; 1 where there are none."""
    asked = never_seen.T[:, :, None]
    judged = never_seen.any(0)
    if not judged.any():
        return 1.0
    evidence = np.zeros(len(TEMPERATURES))
    for number, temperature in enumerate(TEMPERATURES):
        mean = (softmax(logits / temperature) * asked).sum(1)[judged] / asked.sum(1)[judged]
        evidence[number] = weights[judged] @ np.log(np.maximum((mean * allowed[judged]).sum(-1), SMALLEST))
    prior = 0.5 * (np.log(TEMPERATURES) / TEMPERATURE_SPREAD) ** 2
    return float(TEMPERATURES[int(np.argmin(prior - evidence))])


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    result: Array = exponentials / exponentials.sum(-1, keepdims=True)
    return result
