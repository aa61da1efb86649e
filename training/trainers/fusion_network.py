"""The learned fusion layers: a window of seconds becomes one vector, whatever of it the camera missed.

Per second and modality, z under the person's baseline and the raw value under the population's centre and scale enter a
small encoder with a tanh. Over time, each modality is pooled with attention weights in proportion to coverage times
exp(score), into a mean and a spread (Okabe et al. 2018, Attentive Statistics Pooling). Over modalities, a gate mixes
what was made of each, again in proportion to coverage times exp(score): the softmax over the modalities that were seen,
in which one that was seen half of the time counts half, and one that was never seen counts nothing. A window of which
nothing was seen is 0.

K members lie side by side on axis 1 of every parameter, so that an ensemble costs one pass over the data.
`training.export.fusion_graph` builds the same computation as an ONNX graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sentry_proto.types import Float32
from training.feature_space import FeatureSpace
from training.pooling import LARGEST, Z_CLIP

LEVEL_CLIP = 6.0
SMALLEST_VARIANCE = 1e-4
"""Added before the square root of the spread, whose slope is infinite at 0."""

NOTHING = 1e-9
"""Below any coverage that one second can add."""


class FusionNetwork(nn.Module):
    """Windows to vectors [N, K, H].

    Args:
        space: names the F features and M modalities.
        centre, scale: float32 [F], of the raw values in the population.
        members: K.
        hidden: H.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, space: FeatureSpace, centre: Float32, scale: Float32, members: int = 4, hidden: int = 12
    ) -> None:
        super().__init__()
        self.space, self.members, self.hidden = space, members, hidden
        count = len(space.features)
        self.columns = [np.flatnonzero(space.feature_modality == index) for index in range(len(space.modalities))]
        self.register_buffer("centre", torch.from_numpy(centre.copy()))
        self.register_buffer("scale", torch.from_numpy(scale.copy()))
        self.encode = nn.ParameterList(
            _normal(2 * len(columns), members, hidden, fan=max(2 * len(columns), 1)) for columns in self.columns
        )
        modalities = len(self.columns)
        self.encode_bias = nn.Parameter(torch.zeros(modalities, members, hidden))
        self.attend = nn.Parameter(torch.zeros(modalities, members, hidden))
        self.project = _normal(modalities, members, 2 * hidden, hidden, fan=2 * hidden)
        self.project_bias = nn.Parameter(torch.zeros(modalities, members, hidden))
        self.gate = nn.Parameter(torch.zeros(modalities, members, hidden))
        self.gate_bias = nn.Parameter(torch.zeros(modalities, members))
        self._feature_modality = torch.from_numpy(space.feature_modality)
        self._inputs = [torch.from_numpy(np.concatenate([columns, columns + count])) for columns in self.columns]

    def forward(self, values: Tensor, coverage: Tensor, baseline: Tensor) -> Tensor:
        """Vectors [N, K, H] of float32 values [N, T, F], coverage [N, T, M] and baseline [N, 2, F]."""
        return self.mix(*self.embed(values, coverage, baseline))

    def embed(self, values: Tensor, coverage: Tensor, baseline: Tensor) -> tuple[Tensor, Tensor]:
        """What is made of each modality alone, [N, M, K, H], and its mean coverage, [N, M]."""
        covered = torch.where(coverage > 0, coverage.clamp(max=1), 0.0)
        encoded = self._encode(values, covered, baseline)
        weights = covered[..., None, None] * (encoded * self.attend).sum(-1, keepdim=True).exp()
        weights = weights / weights.sum(1, keepdim=True).clamp(min=NOTHING)
        mean = (weights * encoded).sum(1)
        variance = (weights * (encoded - mean[:, None]).square()).sum(1)
        statistics = torch.cat([mean, (variance + SMALLEST_VARIANCE).sqrt()], -1)
        # The windows next to the columns: one matrix product for each modality and member, not one for each window.
        projected = (statistics.permute(1, 2, 0, 3) @ self.project).permute(2, 0, 1, 3)
        return torch.tanh(projected + self.project_bias), covered.mean(1)

    def mix(self, embedded: Tensor, shares: Tensor) -> Tensor:
        """The gate: [N, M, K, H] and [N, M] -> [N, K, H]."""
        return (self.gates(embedded, shares)[..., None] * embedded).sum(1)

    def gates(self, embedded: Tensor, shares: Tensor) -> Tensor:
        """The weight of each modality, [N, M, K]; they sum to 1 where anything was seen."""
        weights = shares[..., None] * ((embedded * self.gate).sum(-1) + self.gate_bias).exp()
        return weights / weights.sum(1, keepdim=True).clamp(min=NOTHING)

    def _encode(self, values: Tensor, covered: Tensor, baseline: Tensor) -> Tensor:
        """Seconds of each modality, [N, T, M, K, H]."""
        z = (values - baseline[:, :1]) / baseline[:, 1:]
        seen = covered.index_select(-1, self._feature_modality).gt(0) & (z.abs() < LARGEST)
        z = torch.where(seen, z.clamp(-Z_CLIP, Z_CLIP), 0.0)
        level = torch.where(seen, ((values - self.centre) / self.scale).clamp(-LEVEL_CLIP, LEVEL_CLIP), 0.0)
        both = torch.cat([z, level], -1)
        parts = [
            both.index_select(-1, columns) @ each.flatten(1)
            for columns, each in zip(self._inputs, self.encode, strict=True)
        ]
        stacked = torch.stack(parts, 2)
        stacked = stacked.reshape(*stacked.shape[:3], self.members, self.hidden)
        return torch.tanh(stacked + self.encode_bias)


def _normal(*shape: int, fan: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) / fan**0.5)


def as_tensors(*arrays: Any) -> tuple[Tensor, ...]:
    """Float32 tensors of what `WindowSet.batch` gives."""
    return tuple(torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in arrays)
