"""Cheap augmentation of face batches, vectorised: one call per batch, no worker processes.

Everything happens on 48x48 images before the network's own resize, in float grey levels 0..255. Geometry stands for
loose crops and tilted heads, tone for rooms and exposure, blur and noise for webcams, erasing for hands and hair.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random variant of each image.

    Args:
        images: uint8 [n, h, w].
        generator: the only source of randomness.

    Returns:
        float32 [n, h, w] in 0..255.
    """
    faces = images.unsqueeze(1).float()
    faces = _blur(faces, generator)
    faces = _warp(faces, generator)
    faces = _tone(faces, generator)
    faces = _erase(faces, generator)
    faces = _noise(faces, generator)
    return faces.clamp_(0, 255).squeeze(1)


def mixup(
    images: Tensor, targets: Tensor, votes: Tensor, generator: torch.Generator, alpha: float = 0.2
) -> tuple[Tensor, Tensor, Tensor]:
    """Blend each sample with another of the batch (Zhang et al. 2018), one Beta(alpha, alpha) weight per batch.

    Args:
        images: float32 [n, h, w].
        targets: float32 [n, 7], one-hot or smoothed.
        votes: float32 [n, 7], FER+ vote shares or zeros.
        generator: the only source of randomness.
        alpha: concentration of the Beta distribution.
    """
    # Beta(a, a) as G1 / (G1 + G2); torch's own Beta takes no generator.
    gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
    weight = float(gammas[0] / gammas.sum().clamp_min(1e-12))
    partner = torch.randperm(len(images), generator=generator)

    def blend(values: Tensor) -> Tensor:
        return weight * values + (1 - weight) * values[partner]

    return blend(images), blend(targets), blend(votes)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(n).uniform_(low, high, generator=generator)


def _chosen(n: int, share: float, generator: torch.Generator) -> Tensor:
    """float32 [n, 1, 1, 1]: 1 for about ``share`` of the samples, else 0."""
    return (torch.rand(n, generator=generator) < share).float().view(n, 1, 1, 1)


def _warp(faces: Tensor, generator: torch.Generator) -> Tensor:
    n = len(faces)
    angle = _uniform(n, -15, 15, generator) * math.pi / 180
    zoom = _uniform(n, 0.82, 1.15, generator)  # of the sampled area: below 1 magnifies
    aspect = _uniform(n, 0.94, 1.06, generator)
    flip = 1 - 2 * (torch.rand(n, generator=generator) < 0.5).float()
    shift = torch.empty(n, 2).uniform_(-0.14, 0.14, generator=generator)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    matrix = torch.stack(
        [
            torch.stack([flip * cos * aspect, -sin, shift[:, 0]], dim=1),
            torch.stack([flip * sin * aspect, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="zeros", align_corners=False)


def _tone(faces: Tensor, generator: torch.Generator) -> Tensor:
    n = len(faces)
    contrast = _uniform(n, 0.7, 1.35, generator).view(n, 1, 1, 1)
    brightness = _uniform(n, -30, 30, generator).view(n, 1, 1, 1)
    gamma = torch.exp(_uniform(n, -0.3, 0.3, generator)).view(n, 1, 1, 1)
    curved = (faces / 255).clamp(1e-4, 1).pow(gamma) * 255
    mean = curved.mean(dim=(1, 2, 3), keepdim=True)
    return (curved - mean) * contrast + mean + brightness


def _blur(faces: Tensor, generator: torch.Generator) -> Tensor:
    kernel = torch.tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel / 16).view(1, 1, 3, 3)
    padded = functional.pad(faces, (1, 1, 1, 1), mode="replicate")
    return torch.lerp(faces, functional.conv2d(padded, kernel), _chosen(len(faces), 0.2, generator))


def _noise(faces: Tensor, generator: torch.Generator) -> Tensor:
    n = len(faces)
    spread = _uniform(n, 0, 8, generator).view(n, 1, 1, 1) * _chosen(n, 0.25, generator)
    return faces + spread * torch.randn(faces.shape, generator=generator)


def _erase(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Paint one rectangle of random grey over a quarter of the images (Zhong et al. 2020)."""
    n, _, height, width = faces.shape

    def inside(length: int) -> Tensor:
        start = _uniform(n, -0.1, 0.9, generator)[:, None] * length
        extent = _uniform(n, 0.1, 0.4, generator)[:, None] * length
        position = torch.arange(length)
        return ((position >= start) & (position < start + extent)).float()

    rectangle = inside(height).view(n, 1, height, 1) * inside(width).view(n, 1, 1, width)
    grey = _uniform(n, 0, 255, generator).view(n, 1, 1, 1)
    return torch.lerp(faces, grey.expand_as(faces), rectangle * _chosen(n, 0.25, generator))
