"""Everything that decides the outcome of a training run of the expression model, besides the data."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; they go into its config.json and into the model card.

    Attributes:
        backbone: "small" or "large" MobileNetV3 (Howard et al. 2019), or "face", a teacher.
        epochs: at most; `patience` may end the run sooner.
        patience: epochs without a better PublicTest accuracy after which the run ends; 0 for never.
        pixels: side of the network's input.
        batch: faces a step, over all workers.
        frozen_epochs: how long only the heads learn, before the start weights may change.
        class_weighting: exponent on 1 / class size; 0 counts every face alike, 1 every class.
        mixup_share, mixup_alpha: of the batches; of the Beta distribution.
        votes_weight: of the second head's loss, which learns the FER+ vote shares.
        teacher_weight: share of the first head's loss that follows the teacher's probabilities.
        annotator_weight: share of it that follows what FER2013's label usually is where annotators voted so.
        average_decay: of the moving average of the weights, which is what is judged and exported.
        bfloat16: mixed precision on a CPU as well; with the right instructions it makes "face" 1.8 times as fast, and
            MobileNetV3 slower. On a GPU it is always on.
    """

    backbone: str = "small"
    epochs: int = 20
    patience: int = 0
    pixels: int = 112
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 1.0
    frozen_epochs: int = 0
    dropout: float = 0.25
    label_smoothing: float = 0.1
    class_weighting: float = 0.0
    mixup_share: float = 0.5
    mixup_alpha: float = 0.2
    votes_weight: float = 0.5
    teacher_weight: float = 0.0
    annotator_weight: float = 0.0
    average_decay: float = 0.998
    bfloat16: bool = False
    seed: int = 0

    def learning_rate_at(self, epoch: float) -> float:
        """Learning rate after `epoch` epochs: linear warm-up, then half a cosine down to 1 % of the peak."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1e-3) / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
