"""Learned fusion layers: what was not seen counts for nothing, and what was seen little counts little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.window_study import SMALL_SPACE
from training.trainers.fusion_network import FusionNetwork

FEATURES, MODALITIES = len(SMALL_SPACE.features), len(SMALL_SPACE.modalities)
FACE, POSE, QUALITY = range(MODALITIES)


@pytest.fixture(scope="module")
def network() -> FusionNetwork:
    torch.manual_seed(0)
    made = FusionNetwork(
        SMALL_SPACE, np.zeros(FEATURES, np.float32), np.ones(FEATURES, np.float32), members=3, hidden=4
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made.requires_grad_(requires_grad=False)


def window(count: int = 5, seconds: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, seconds, FEATURES, generator=generator)
    coverage = torch.rand(count, seconds, MODALITIES, generator=generator) * 0.5 + 0.5
    baseline = torch.stack([torch.zeros(count, FEATURES), torch.ones(count, FEATURES)], 1)
    return values, coverage, baseline


def gates(network: FusionNetwork, coverage: Tensor) -> Tensor:
    values, _, baseline = window()
    return network.gates(*network.embed(values, coverage, baseline))


def test_what_was_never_seen_has_no_weight(network: FusionNetwork) -> None:
    _, coverage, _ = window()
    coverage[:, :, POSE] = 0
    weights = gates(network, coverage)
    assert (weights[:, POSE] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(5, 3))


def test_what_was_seen_little_has_little_weight(network: FusionNetwork) -> None:
    _, coverage, _ = window()
    before = gates(network, coverage)[:, FACE]
    coverage[:, :, FACE] *= 0.1
    assert (gates(network, coverage)[:, FACE] < before).all()


def test_values_of_seconds_that_were_not_seen_move_nothing(network: FusionNetwork) -> None:
    values, coverage, baseline = window()
    coverage[:, ::2, FACE] = 0
    spoiled = values.clone()
    spoiled[:, ::2, : SMALL_SPACE.modality_of.index(POSE)] = torch.nan
    torch.testing.assert_close(network(spoiled, coverage, baseline), network(values, coverage, baseline))
    spoiled[:, 1] += 1
    assert not torch.allclose(network(spoiled, coverage, baseline), network(values, coverage, baseline))


def test_a_window_without_anything_is_nothing(network: FusionNetwork) -> None:
    values, coverage, baseline = window()
    assert (network(values, coverage * 0, baseline) == 0).all()
    assert (network(values, coverage * torch.nan, baseline) == 0).all()


def test_a_person_is_seen_under_the_own_baseline(network: FusionNetwork) -> None:
    values, coverage, baseline = window()
    moved = torch.stack([baseline[:, 0] + 1, baseline[:, 1] * 2], 1)
    assert not torch.allclose(network(values, coverage, moved), network(values, coverage, baseline))


@pytest.mark.parametrize("seconds", [1, 2, 40])
def test_any_length(network: FusionNetwork, seconds: int) -> None:
    vectors = network(*window(seconds=seconds))
    assert vectors.shape == (5, 3, 4)
    assert vectors.isfinite().all()


def test_members_do_not_see_one_another(network: FusionNetwork) -> None:
    """A change of one member's parameters, at its place on axis 1, moves that member alone."""
    before = network(*window())
    for parameter in network.parameters():
        kept = parameter[:, 1].clone()
        parameter[:, 1] += 1
        after = network(*window())
        parameter[:, 1] = kept
        torch.testing.assert_close(after[:, [0, 2]], before[:, [0, 2]])
