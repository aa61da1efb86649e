"""Start weights from a TensorFlow.js file: the network computes what the file says, and bad files are explained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sentry_proto.errors import InputError
from training.trainers import face_weights
from training.trainers.emotion_network import ExpressionNetwork
from training.trainers.face_weights import Arrays, face_backbone, read_tfjs, save_start

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
"""Channels and stride of each block of MobileNetV1 (Howard et al. 2017, table 1)."""


def _arrays() -> Arrays:
    """Invented weights in the file's layout."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)

    arrays = {"conv1/convolution/merged_input": normal(3, 3, 3, 32) / 64, "conv1_bn/batchnorm_1/sub": normal(1, 32)[0]}
    inner = 32
    for number, (outer, _) in enumerate(BLOCKS, start=1):
        arrays[f"conv_dw_{number}/depthwise_kernel"] = normal(3, 3, inner, 1) * np.sqrt(inner).astype(np.float32)
        arrays[f"conv_dw_{number}_bn/batchnorm_1/mul"] = rng.uniform(0.5, 1.5, inner).astype(np.float32)
        arrays[f"conv_dw_{number}_bn/batchnorm_1/sub"] = normal(1, inner)[0]
        arrays[f"conv_pw_{number}/convolution/merged_input"] = normal(1, 1, inner, outer)
        arrays[f"conv_pw_{number}_bn/batchnorm_1/sub"] = normal(1, outer)[0]
        inner = outer
    return arrays


def _as_the_file_says(arrays: Arrays, levels: Tensor) -> Tensor:
    """MobileNetV1 with folded batch normalisation, written out: levels [n, 3, h, w], centred on 0, to [n, 1024]."""

    def layer(x: Tensor, name: str, stride: int) -> Tensor:
        depthwise = name.startswith("conv_dw")
        kernel = torch.tensor(arrays[f"{name}/depthwise_kernel" if depthwise else f"{name}/convolution/merged_input"])
        weight = kernel.permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        side, kernel_side = x.shape[-1], weight.shape[-1]
        extra = (-(-side // stride) - 1) * stride + kernel_side - side  # "same" padding, more of it at the far end
        padded = functional.pad(x, (extra // 2, extra - extra // 2) * 2)
        y = functional.conv2d(padded, weight, stride=stride, groups=x.shape[1] if depthwise else 1)
        scale = arrays.get(f"{name}_bn/batchnorm_1/mul", np.ones(y.shape[1], np.float32))
        shift = arrays[f"{name}_bn/batchnorm_1/sub"]
        return (y * torch.tensor(scale)[:, None, None] + torch.tensor(shift)[:, None, None]).clamp(0, 6)

    x = layer(levels, "conv1", 2)
    for number, (_, stride) in enumerate(BLOCKS, start=1):
        x = layer(layer(x, f"conv_dw_{number}", stride), f"conv_pw_{number}", 1)
    return x.mean((2, 3))


def _write(folder: Path, arrays: Arrays) -> Path:
    entries = [
        {"name": name, "shape": list(a.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, a in arrays.items()
    ]
    (folder / "face.bin").write_bytes(b"".join(a.astype(np.float16).tobytes() for a in arrays.values()))
    path = folder / "face.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["face.bin"], "weights": entries}]}))
    return path


@pytest.mark.slow
def test_the_network_computes_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With these, zero padding means the same before and after the scaling is folded in, and all is exact.
    monkeypatch.setattr(face_weights, "CHANNEL_MEANS", (127.5, 127.5, 127.5))
    monkeypatch.setattr(face_weights, "PIXELS", 64)
    arrays = read_tfjs(_write(tmp_path, _arrays()))
    faces = np.random.default_rng(1).integers(0, 256, (32, 48, 48), np.uint8)
    save_start(face_backbone(arrays, faces), tmp_path / "out" / "start.pth")

    network = ExpressionNetwork("face", face_weights.PIXELS, 0.0).eval().requires_grad_(False)
    network.load_start(tmp_path / "out" / "start.pth")
    levels = torch.from_numpy(faces[:4]).unsqueeze(1).float()
    large = functional.interpolate(levels, [face_weights.PIXELS] * 2, mode="bilinear", align_corners=False)
    expected = _as_the_file_says(arrays, large.expand(-1, 3, -1, -1) - 127.5)
    assert expected.std() > 0.01
    torch.testing.assert_close(network.embed(levels), expected, atol=2e-3, rtol=2e-3)

    # On the batch that the statistics come from, training begins where the file ended.
    everything = torch.from_numpy(faces).unsqueeze(1).float()
    before = network.embed(everything)
    torch.testing.assert_close(network.train().embed(everything), before, atol=2e-2, rtol=2e-2)


def test_other_files_are_explained(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=r"is not a TensorFlow\.js model"):
        read_tfjs(tmp_path / "list.json")

    arrays = _arrays()
    path = _write(tmp_path, arrays)
    (tmp_path / "face.bin").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="weights end before conv1/convolution"):
        read_tfjs(path)

    faces = np.zeros((2, 48, 48), np.uint8)
    with pytest.raises(InputError, match="conv_pw_13 is"):
        face_backbone({**arrays, "conv_pw_13/convolution/merged_input": np.zeros((1, 1, 1024, 7), np.float32)}, faces)
    del arrays["conv_dw_2/depthwise_kernel"]
    with pytest.raises(InputError, match="it has no weights 'conv_dw_2/depthwise_kernel'"):
        face_backbone(arrays, faces)
