"""Whether augmentation keeps up with the network: faces a second of each, in the same run.

    python -m benchmarks.augmentation [--batches 20] [--device cpu] [--json]

Augments made-up faces in groups of 1, 4 and 16 that share a draw, and takes the training steps of the default recipe
on faces that are not augmented. On a CPU both get one core and their seconds are those of that core, so that other
programs on the machine do not count; on a GPU they are seconds of the clock. A ratio above 1 says that the network is
the slower of the two; the share is what augmentation takes of a training step.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from training.datasets.fer2013 import EMOTIONS, SIDE, Faces
from training.datasets.transforms import GROUP, augment
from training.trainers import emotion_training
from training.trainers.emotion_recipe import Recipe
from training.trainers.emotion_training import Place, Training, TrainingData

GROUPS = (1, 4, 16)
WARM_UP = 2
"""Batches that are not timed."""


def made_up_faces(count: int) -> TrainingData:
    """Noise with random labels and votes; what a face shows makes no difference to the time."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    labels = generator.integers(0, len(EMOTIONS), count)
    shares = torch.from_numpy(generator.dirichlet(np.ones(len(EMOTIONS)), count).astype(np.float32))
    public = Faces(images[:1], labels[:1], np.full(1, -1), np.array(["PublicTest"]))
    return TrainingData(torch.from_numpy(images), torch.from_numpy(labels), shares, shares, public, {})


def augmented_a_second(data: TrainingData, batch: int, group: int, device: torch.device) -> float:
    """Faces a second through the augmentation."""
    batches = torch.split(data.images.to(device), batch)
    return _rate(len(batches), batch, device, lambda index: augment(batches[index], group))


def trained_a_second(data: TrainingData, recipe: Recipe, device: torch.device) -> float:
    """Faces a second through the training step, without the augmentation."""
    with patch.object(emotion_training, "augment", Tensor.float):
        epoch = Training(recipe, data, None, Place(device)).run_epoch()
        return _rate(len(data.images) // recipe.batch, recipe.batch, device, lambda _: next(epoch))


def _rate(batches: int, batch: int, device: torch.device, work: Callable[[int], object]) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = 0.0
    for index in range(batches):
        if index == WARM_UP:
            _wait(device)
            started = clock()
        work(index)
    _wait(device)
    return (batches - WARM_UP) * batch / (clock() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: list[str] | None = None) -> int:
    """Print the table, or JSON; 1 if the network is not the slower of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20, help="timed, of each; default: %(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    device, recipe = torch.device(options.device), Recipe()
    data = made_up_faces((options.batches + WARM_UP) * recipe.batch)
    network = trained_a_second(data, recipe, device)
    figures = {"network_faces_per_s": round(network)}
    ratios: dict[str, float] = {}
    for group in GROUPS:
        rate = augmented_a_second(data, recipe.batch, group, device)
        figures[f"augmentation_faces_per_s_group_{group}"] = round(rate)
        ratios[f"ratio_group_{group}"] = round(rate / network, 2)
        ratios[f"share_of_step_group_{group}"] = round(network / (network + rate), 3)
    shown = {**figures, **ratios, "group_used": GROUP}
    print(json.dumps(shown) if options.json else "\n".join(f"{name:34} {value}" for name, value in shown.items()))
    return int(ratios[f"ratio_group_{GROUP}"] <= 1)


if __name__ == "__main__":
    sys.exit(main())
