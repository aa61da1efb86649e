"""Augmentation keeps shape, range and meaning, and draws from torch's seed alone."""

from __future__ import annotations

import torch

from training.datasets.transforms import augment, mixup


def _images(n: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (n, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_augmented_faces_stay_grey_levels_and_differ() -> None:
    images = _images()
    torch.manual_seed(0)
    first = augment(images)
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 255
    assert not torch.equal(first, augment(images))


def test_same_seed_same_faces() -> None:
    torch.manual_seed(1)
    first = augment(_images())
    torch.manual_seed(1)
    assert torch.equal(first, augment(_images()))


def test_about_half_of_the_groups_are_mirrored() -> None:
    torch.manual_seed(0)
    images = torch.zeros(800, 48, 48, dtype=torch.uint8)
    images[:, :, :24] = 255
    varied = augment(images)
    mirrored = (varied[:, 14:34, 30:40].mean(dim=(1, 2)) > varied[:, 14:34, 8:18].mean(dim=(1, 2))).float().mean()
    assert 0.4 < mirrored < 0.6


def test_mixup_blends_faces_and_targets_with_the_same_weight() -> None:
    torch.manual_seed(3)
    identity = torch.eye(7)
    faces, targets = mixup(identity.view(7, 1, 7), identity, alpha=1.0)
    assert torch.equal(faces.squeeze(1), targets)
    assert torch.allclose(targets.sum(dim=1), torch.ones(7))
    assert not torch.equal(targets, identity)
