"""Turn a training run into the expression model that ships: one ONNX file and its card.

``python -m training.export.expression --run RUN --out perception/models/expression.onnx``

The graph takes grey crops as they come: ``faces`` uint8 [N, H, W] of any size. An antialiased resize to the 48x48 of
FER2013 stands in front (torch's TorchScript exporter has no symbol for it, so it is built by hand), the network with
its own resize and scaling behind it. Outputs: ``probabilities`` float32 [N, 7] in the order of ``EMOTIONS`` and
``embedding`` float32 [N, E]. Before anything is written to its place, the file is compared with torch on crops of
several sizes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper
from torch import Tensor, nn

from training.datasets import fer2013
from training.evaluation.calibration import crossfitted_calibration_error, fit_temperature
from training.evaluation.expression import ModelError, milliseconds_per_face, open_model, predict
from training.evaluation.metrics import Probabilities, classification_report, expected_calibration_error
from training.export.card import CardFacts, expression_card
from training.export.int8 import LARGEST_LOSS, int8_variant
from training.trainers.emotion_network import BACKBONES, ExpressionNetwork
from training.trainers.emotion_recipe import Recipe
from training.trainers.emotion_training import load_network

OPSET = 18  # the first with an antialiased Resize
PARITY = 1e-4
BATCH = 256
_PARITY_SIZES = ((48, 48), (31, 37), (96, 96), (117, 90), (224, 160), (301, 299))


class _Served(nn.Module):
    """The part of the network that serves, from a 48x48 crop on."""

    def __init__(self, network: ExpressionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.network.embed(crop)
        return self.network.probabilities(embedding), embedding


@dataclass(frozen=True)
class Exported:
    """A model file that passed the comparison with torch.

    Attributes:
        model: serialised ONNX.
        parity: largest difference of a probability seen.
    """

    model: bytes
    parity: float


def export(network: ExpressionNetwork, metadata: dict[str, str]) -> Exported:
    """Build the serving graph with the given metadata and compare it with torch.

    Raises:
        ModelError: the graph and torch differ by ``PARITY`` or more.
    """
    model = compose.merge_models(_resize_graph(), _network_graph(network), io_map=[("crop", "crop")])
    del model.opset_import[1:]  # of both halves; a second one, though the same, makes some tools refuse the file
    model.producer_name = "sentry"
    model.graph.name = "expression"
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    serialised = model.SerializeToString()
    return Exported(serialised, _check_parity(network, serialised))


def _resize_graph() -> onnx.ModelProto:
    side = helper.make_tensor("side", TensorProto.INT64, [2], [fer2013.SIDE, fer2013.SIDE])
    channel = helper.make_tensor("channel", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Cast", ["faces"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["grey", "channel"], ["grey_nchw"]),
        helper.make_node(
            "Resize",
            ["grey_nchw", "", "", "side"],
            ["crop"],
            mode="linear",
            antialias=1,
            exclude_outside=1,  # renormalise the filter at the border, as torch and Pillow do
            axes=[2, 3],
            coordinate_transformation_mode="half_pixel",
        ),
    ]
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", "H", "W"])
    crop = helper.make_tensor_value_info("crop", TensorProto.FLOAT, ["N", 1, fer2013.SIDE, fer2013.SIDE])
    graph = helper.make_graph(nodes, "resize", [faces], [crop], [side, channel])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _network_graph(network: ExpressionNetwork) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # torch announces its newer exporter, which takes twenty times as long for the same graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _Served(network).eval(),
            (torch.zeros(2, 1, fer2013.SIDE, fer2013.SIDE),),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["crop"],
            output_names=["probabilities", "embedding"],
            dynamic_axes={"crop": {0: "N"}, "probabilities": {0: "N"}, "embedding": {0: "N"}},
        )
        return onnx.load_model(path)


def _check_parity(network: ExpressionNetwork, serialised: bytes) -> float:
    session = open_model(serialised)
    rng = np.random.default_rng(0)
    worst = 0.0
    for batch, (height, width) in enumerate(_PARITY_SIZES, start=1):
        faces = rng.integers(0, 256, (batch, height, width), dtype=np.uint8)
        probabilities, _ = session.run(None, {"faces": faces})
        expected, _ = network.predict(torch.from_numpy(faces))
        worst = max(worst, float(np.abs(probabilities - expected.numpy()).max()))
    if worst >= PARITY:
        raise ModelError(f"the exported graph differs from torch by {worst:.1e} in a probability, limit {PARITY:.0e}")
    return worst


def metadata_of(config: dict[str, Any], version: str, temperature: float) -> dict[str, str]:
    """What the model file says of itself; ``data_recipe_sha256`` covers the data used and the whole recipe."""
    recipe = json.dumps(config, sort_keys=True).encode()
    backbone = BACKBONES[config["recipe"]["backbone"]]
    return {
        "labels": ",".join(fer2013.EMOTIONS),
        "version": version,
        "temperature": f"{temperature:.6g}",
        "network": backbone.title,
        "start": backbone.start if config["init"] else "random",
        "data_recipe_sha256": hashlib.sha256(recipe).hexdigest(),
    }


@dataclass(frozen=True, eq=False)
class ServedRun:
    """A training run, and the model of its best epoch as it would ship.

    Attributes:
        config: config.json; settings that the run was too early to know have their defaults.
        history: figures of each epoch.
        network: of the best epoch, with the temperature that was fitted on PublicTest.
        exported: the same network as ONNX.
        raw: probabilities on PublicTest without the temperature, float32 [n, 7].
    """

    config: dict[str, Any]
    history: list[dict[str, float]]
    network: ExpressionNetwork
    exported: Exported
    raw: Probabilities

    @property
    def best_epoch(self) -> int:
        """The epoch that ships, from 1."""
        return int(max(self.history, key=lambda line: line["accuracy"])["epoch"])

    @property
    def parameters(self) -> int:
        """How many weights serve."""
        return sum(p.numel() for part in (self.network.backbone, self.network.emotion) for p in part.parameters())


def serve_run(run: Path, public: fer2013.Faces, version: str) -> ServedRun:
    """Read a run folder, fit the temperature on PublicTest, and export the best epoch in memory.

    Raises:
        ModelError: it has no finished epoch or an unknown backbone, or the graph differs from torch.
    """
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        history = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
        config["recipe"] = asdict(Recipe(**config["recipe"]))
        if (backbone := config["recipe"]["backbone"]) not in BACKBONES:
            raise ModelError(f"{run}: its backbone {backbone} is none of {', '.join(BACKBONES)}")
        network = load_network(run / "best.pt")
    except FileNotFoundError as error:
        raise ModelError(f"{run} has no finished epoch: {Path(error.filename).name} is missing") from error
    raw = torch.cat([network.predict(part)[0] for part in torch.split(torch.from_numpy(public.images), BATCH)]).numpy()
    network.temperature.fill_(fit_temperature(raw, public.labels))
    exported = export(network, metadata_of(config, version, float(network.temperature)))
    return ServedRun(config, history, network, exported, raw)


def export_run(run: Path, data: Path, out: Path, version: str) -> CardFacts:
    """Export the best epoch of a run folder to ``out``, with its card beside it (same name, ``.md``).

    Raises:
        ModelError: it is not the folder of a run, or the graph differs from torch.
        fer2013.DatasetError: the data cannot be read.
    """
    public = fer2013.load_fer2013(data).split("PublicTest")
    served = serve_run(run, public, version)
    model = served.exported.model
    out.write_bytes(model)
    facts = CardFacts(
        file=out.name,
        sha256=hashlib.sha256(model).hexdigest(),
        size=len(model),
        version=version,
        parameters=served.parameters,
        embedding=served.network.emotion.in_features,
        parity=served.exported.parity,
        milliseconds={side: milliseconds_per_face(model, side) for side in (48, 160)},
        config=served.config,
        best_epoch=served.best_epoch,
        epochs_done=len(served.history),
        report=classification_report(predict(open_model(model), public.images), public.labels),
        temperature=float(served.network.temperature),
        raw_ece=expected_calibration_error(served.raw, public.labels),
        crossfitted_ece=crossfitted_calibration_error(served.raw, public.labels),
    )
    out.with_suffix(".md").write_text(expression_card(facts), encoding="utf-8")
    return facts


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.export.expression", description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="run folder of the emotion trainer")
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write; its card goes beside it")
    parser.add_argument(
        "--int8", action="store_true", help="also write OUT.int8.onnx, if it loses less than 0.3 points"
    )
    parser.add_argument("--version", default="1", help="recorded in the model file; default: %(default)s")
    options = parser.parse_args(argv)
    try:
        data = fer2013.find_data(options.data)
        facts = export_run(options.run, data, options.out, options.version)
        words = _write_int8(options.out, data) if options.int8 else ""
    except (ModelError, fer2013.DatasetError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: PublicTest {facts.report.accuracy:.2%} (n = {facts.report.n}), parity {facts.parity:.1e}")
    if words:
        print(words)
    return 0


def _write_int8(out: Path, data: Path) -> str:
    """Write the int8 variant beside the model if it is good enough; returns what became of it."""
    variant, path = int8_variant(out, data), out.with_suffix(".int8.onnx")
    figures = f"{variant.accuracy:.2%}, loses {100 * variant.loss:.2f} points, {len(variant.model) / 1e6:.2f} MB"
    said = f"int8: PublicTest {figures}"
    if not variant.good_enough:
        path.unlink(missing_ok=True)  # of an earlier export
        return f"{said}: not written, the limit is {100 * LARGEST_LOSS:.1f}"
    path.write_bytes(variant.model)
    return f"{said}: {path}"


if __name__ == "__main__":
    sys.exit(main())
