"""Augmentation of small grey faces with torchvision.transforms.v2, and mixup.

Geometry stands for loose crops and tilted heads, tone for rooms and exposure, blur and noise for webcams, erasing for
hands and hair. torchvision draws one set of parameters a call, so a batch is cut into small groups: several times
faster than face by face, and still about as many draws in an epoch as there are faces.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.torchvision_compat import ensure_torchvision

ensure_torchvision()

from torchvision.transforms import InterpolationMode, v2  # noqa: E402 - made importable first

GROUP = 4
"""Faces that share a draw; `benchmarks.augmentation` measures what larger groups would save."""

_AUGMENTATION = v2.Compose(
    [
        v2.ToDtype(torch.float32, scale=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.GaussianBlur(3, sigma=(0.3, 1.2))], p=0.2),
        v2.RandomAffine(15, (0.07, 0.07), (0.87, 1.2), shear=4, interpolation=InterpolationMode.BILINEAR),
        v2.ColorJitter(brightness=0.25, contrast=0.35),
        v2.RandomErasing(p=0.25, scale=(0.02, 0.16), ratio=(0.3, 3.3)),
        v2.RandomApply([v2.GaussianNoise(sigma=0.02)], p=0.25),
    ]
)


def augment(images: Tensor, group: int = GROUP) -> Tensor:
    """A random variant of each face, drawn from torch's global generator.

    Args:
        images: uint8 [n, h, w].
        group: faces that share a draw.

    Returns:
        float32 [n, h, w] in 0..255.
    """
    parts = [_AUGMENTATION(part) for part in torch.split(images.unsqueeze(1), group)]
    return (torch.cat(parts) * 255).clamp_(0, 255).squeeze(1)


def mixup(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend each face with another of the batch (Zhang et al. 2018), one Beta(alpha, alpha) weight per batch.

    Args:
        images: float32 [n, h, w].
        targets: float32 [n, ...], blended alike.
        alpha: concentration of the Beta distribution.
    """
    weight = torch.distributions.Beta(alpha, alpha).sample().to(images.device)
    partner = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[partner], images, weight), torch.lerp(targets[partner], targets, weight)
