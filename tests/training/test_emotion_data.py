"""Augmentation keeps shape, range and meaning, and draws from nothing but its generator."""

from __future__ import annotations

import torch

from training.trainers.emotion_data import augment, mixup


def _images(n: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (n, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_augmented_faces_stay_grey_levels_and_differ() -> None:
    images = _images()
    first = augment(images, torch.Generator().manual_seed(0))
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 255
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(2)))


def test_same_seed_same_faces() -> None:
    images = _images()
    torch.manual_seed(1)
    first = augment(images, torch.Generator().manual_seed(0))
    torch.manual_seed(2)
    assert torch.equal(first, augment(images, torch.Generator().manual_seed(0)))


def test_about_half_of_the_faces_are_mirrored() -> None:
    images = torch.zeros(400, 48, 48, dtype=torch.uint8)
    images[:, :, :24] = 255
    varied = augment(images, torch.Generator().manual_seed(0))
    mirrored = (varied[:, 14:34, 30:40].mean(dim=(1, 2)) > varied[:, 14:34, 8:18].mean(dim=(1, 2))).float().mean()
    assert 0.4 < mirrored < 0.6


def test_mixup_blends_everything_with_the_same_weight() -> None:
    n = 7
    identity = torch.eye(n)
    images = identity.view(n, 1, n).clone()
    mixed_images, mixed_targets, mixed_votes = mixup(images, identity, identity, torch.Generator().manual_seed(3))
    assert torch.equal(mixed_images.squeeze(1), mixed_targets)
    assert torch.equal(mixed_votes, mixed_targets)
    assert torch.allclose(mixed_targets.sum(dim=1), torch.ones(n))
    assert not torch.equal(mixed_targets, identity)
