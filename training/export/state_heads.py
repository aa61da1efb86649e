"""State heads as one ONNX file for the agent, and back.

The graph is built node by node (milliseconds, no tracing) and computes what `training.pooling.pool` and
`TaskHead.predict` compute, or for a head with learned fusion layers what `FusionNetwork` and `FusionHead.predict` do;
`sentry_proto.bundle` documents its inputs and outputs. Before a bundle leaves this module, onnxruntime has run it, and
has agreed with numpy and torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from perception.bundles import sha256
from perception.emotion import MODEL
from sentry_proto.bundle import GOLDEN_TOLERANCE, METADATA_KEY, BundleMetadata, Golden
from sentry_proto.errors import MalformedMessage, SentryError
from sentry_proto.layout import N_MODALITIES, N_SECOND, SECOND_FEATURES
from sentry_proto.limits import MAX_BUNDLE_BYTES
from sentry_proto.types import Float32
from training.active_learning.uncertainty import SMALLEST
from training.export.fusion_graph import add_fusion
from training.export.graph import GraphBuilder
from training.feature_space import SECOND_SPACE
from training.pooling import LARGEST, SHORTEST_TIME_VARIANCE, Z_CLIP, pool
from training.trainers.fusion_fitting import FusionHead
from training.trainers.fusion_network import FusionNetwork, as_tensors
from training.trainers.state_heads import X_CLIP, TaskHead

OPSET = 18
IR_VERSION = 9
"""Both are read by every onnxruntime since 1.15."""

Head = TaskHead | FusionHead

_PARAMETERS = ("centre", "scale", "weights", "bias")
_LEARNED = "fusion_weights"
_POPULATION = "population"


class ExportFailed(SentryError):
    """The graph does not compute what the heads do; the bundle must not be published."""


def export_bundle(
    heads: Mapping[str, Head],
    version: int,
    parent: int,
    created: float,
    abstaining: Mapping[str, str],
    metrics: Mapping[str, Mapping[str, Any]],
    seconds: int = 30,
    population: Float32 | None = None,
    backbone: str = "",
) -> bytes:
    """Write live heads into a bundle.

    Args:
        heads: task name -> head; at least one.
        version: above 0.
        parent: the version that the heads were trained from; 0 for none.
        created: Unix seconds.
        abstaining: name of a task without a live head -> why.
        metrics: task name -> what the gate measured.
        seconds: length of the golden window; the graph takes any.
        population: float32 [2, F], the centre and scale under which the heads were trained instead of each person's
            own; the graph then disregards its input `baseline`.
        backbone: hex SHA-256 of the expression model that made the features; empty for the shipped one.

    Raises:
        ExportFailed: if there is no head, one was learned from other features than the agent's, or onnxruntime
            disagrees with the head by `GOLDEN_TOLERANCE` or more.
    """
    if not heads:
        raise ExportFailed("a bundle needs at least one live head")
    for name, head in heads.items():
        if head.space != SECOND_SPACE:
            raise ExportFailed(f"{name} was learned from other features than those that an agent sees")
    model = helper.make_model(
        _graph(heads, population),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sentry",
    )
    inputs = _golden_input(version, seconds)
    means = _checked_means(model.SerializeToString(), heads, inputs, population)
    metadata = BundleMetadata(
        version=version,
        parent=parent,
        created=created,
        tasks=tuple(head.task for head in heads.values()),
        abstaining=abstaining,
        temperatures={name: head.temperature for name, head in heads.items()},
        metrics=metrics,
        golden=Golden(**inputs, means=means),
        backbone=backbone or sha256(MODEL),
    )
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def load_bundle(data: bytes) -> tuple[BundleMetadata, dict[str, TaskHead]]:
    """The metadata of a bundle and its heads on statistics pooling, for warm starts.

    Heads with learned fusion layers, and heads that disregard the baselines of people, are not among them: the online
    learner starts such a task anew (docs/adr/0009).

    Raises:
        LayoutMismatch: if it was made for another feature layout.
        MalformedMessage: if it is no bundle.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise MalformedMessage(f"a bundle of {len(data)} bytes is larger than {MAX_BUNDLE_BYTES}")
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # the protobuf runtimes raise different types
        raise MalformedMessage("the bundle is not an ONNX file") from error
    properties = {entry.key: entry.value for entry in model.metadata_props}
    metadata = BundleMetadata.from_json(properties.get(METADATA_KEY, ""))
    arrays = {entry.name: entry for entry in model.graph.initializer}
    try:
        heads = {
            task.name: TaskHead(
                task=task,
                temperature=metadata.temperatures[task.name],
                **{name: numpy_helper.to_array(arrays[f"{task.name}/{name}"]).copy() for name in _PARAMETERS},
            )
            for task in metadata.tasks
            if not arrays.keys() & {_POPULATION, f"{task.name}/{_LEARNED}"}
        }
    except (KeyError, ValueError) as error:
        raise MalformedMessage(f"the bundle lacks a parameter: {error}") from error
    return metadata, heads


def _graph(heads: Mapping[str, Head], population: Float32 | None) -> Any:
    graph = GraphBuilder()
    baseline = "baseline" if population is None else graph.constant(population[None], _POPULATION)
    outputs = [*_statistics_heads(graph, heads, baseline), *_learned_heads(graph, heads, baseline)]
    inputs = [
        helper.make_tensor_value_info("values", TensorProto.FLOAT, ["N", "T", N_SECOND]),
        helper.make_tensor_value_info("coverage", TensorProto.FLOAT, ["N", "T", N_MODALITIES]),
        helper.make_tensor_value_info("baseline", TensorProto.FLOAT, ["N", 2, N_SECOND]),
    ]
    return helper.make_graph(graph.nodes, "state_heads", inputs, outputs, graph.initializers)


def _statistics_heads(graph: GraphBuilder, heads: Mapping[str, Head], baseline: str) -> list[Any]:
    """Statistics pooling and the heads on it; their outputs."""
    linear = {name: head for name, head in heads.items() if isinstance(head, TaskHead)}
    if not linear:
        return []
    pooled, shares = _pooling(graph, baseline)
    seen = graph.op(
        "Greater", graph.op("Gather", shares, graph.constant(SECOND_SPACE.column_modality), axis=1), graph.number(0)
    )
    seen = graph.op("Or", seen, graph.constant(SECOND_SPACE.is_coverage[None]))
    return [output for name, head in linear.items() for output in _head(graph, name, head, pooled, seen)]


def _learned_heads(graph: GraphBuilder, heads: Mapping[str, Head], baseline: str) -> list[Any]:
    """Learned fusion layers, once for all heads that share them, and the heads on them; their outputs."""
    vectors: dict[FusionNetwork, str] = {}
    outputs = []
    for name, head in heads.items():
        if isinstance(head, FusionHead):
            if head.network not in vectors:
                vectors[head.network] = graph.column(add_fusion(graph, head.network, baseline), 2)
            weights = graph.constant(np.ascontiguousarray(head.weights), f"{name}/{_LEARNED}")
            product = graph.op("Squeeze", graph.op("MatMul", vectors[head.network], weights), graph.integers(2))
            outputs += _outputs(graph, name, head, graph.op("Add", product, graph.constant(head.bias)))
    return outputs


def _pooling(graph: GraphBuilder, baseline: str) -> tuple[str, str]:
    """`training.pooling.pool` line by line; the pooled windows [N, D] and the mean coverages [N, M]."""
    zero, one = graph.number(0), graph.number(1)
    covered = graph.op("Greater", "coverage", zero)
    centre = graph.op("Gather", baseline, graph.integers(0), axis=1)
    scale = graph.op("Gather", baseline, graph.integers(1), axis=1)
    z = graph.op("Div", graph.op("Sub", "values", centre), scale)
    finite = graph.op("Less", graph.op("Abs", z), graph.number(LARGEST))
    seen = graph.op("And", graph.op("Gather", covered, graph.constant(SECOND_SPACE.feature_modality), axis=2), finite)
    z = graph.op("Where", seen, graph.op("Clip", z, graph.number(-Z_CLIP), graph.number(Z_CLIP)), zero)
    count = graph.op("Max", graph.total(graph.as_float(seen), 1), one)

    def mean_of(masked: str) -> str:
        return graph.op("Div", graph.total(masked, 1), count)

    def centred(tensor: str, mean: str) -> str:
        return graph.op("Where", seen, graph.op("Sub", tensor, mean), zero)

    time, seconds = _time_axis(graph)
    mean, level = mean_of(z), mean_of(graph.op("Where", seen, "values", zero))
    deviation = centred(z, mean)
    lag = centred(time, mean_of(graph.op("Where", seen, time, zero)))
    spread = graph.op("Sqrt", mean_of(graph.op("Mul", deviation, deviation)))
    shortest = graph.op("Mul", seconds, graph.number(SHORTEST_TIME_VARIANCE))
    time_variance = graph.op("Max", graph.total(graph.op("Mul", lag, lag), 1), shortest)
    trend = graph.op("Div", graph.total(graph.op("Mul", lag, deviation), 1), time_variance)
    statistics = graph.op("Squeeze", graph.op("Concat", mean, spread, trend, level, axis=2), graph.integers(1))
    shares = graph.average(graph.op("Where", covered, graph.op("Min", "coverage", one), zero), 1)
    return graph.op("Concat", statistics, shares, axis=1), shares


def _time_axis(graph: GraphBuilder) -> tuple[str, str]:
    """The middles of the seconds in 0..1 as [1, T, 1], and T as a number."""
    length = graph.op("Gather", graph.op("Shape", "values"), graph.constant(np.array(1, np.int64)))
    first, step = graph.constant(np.array(0, np.int64)), graph.constant(np.array(1, np.int64))
    seconds = graph.as_float(length)
    index = graph.as_float(graph.op("Range", first, length, step))
    middle = graph.op("Div", graph.op("Add", index, graph.number(0.5)), seconds)
    return graph.op("Reshape", middle, graph.integers(1, -1, 1)), seconds


def _head(graph: GraphBuilder, name: str, head: TaskHead, pooled: str, seen: str) -> list[Any]:
    """`TaskHead.predict` for one task."""
    centre, scale, weights, bias = (
        graph.constant(np.ascontiguousarray(getattr(head, parameter), np.float32), f"{name}/{parameter}")
        for parameter in _PARAMETERS
    )
    x = graph.op("Div", graph.op("Sub", pooled, centre), scale)
    x = graph.op("Clip", x, graph.number(-X_CLIP), graph.number(X_CLIP))
    x = graph.op("Where", seen, x, graph.number(0))
    logits = graph.op("Transpose", graph.op("MatMul", x, weights), perm=[1, 0, 2])
    return _outputs(graph, name, head, graph.op("Add", logits, bias))


def _outputs(graph: GraphBuilder, name: str, head: Head, logits: str) -> list[Any]:
    """`training.trainers.ensembles.head_output`: the four outputs of a task from its members' logits [N, K, C]."""
    logits = graph.op("Div", logits, graph.number(head.temperature))
    members = graph.op("Softmax", logits, axis=-1, output=f"{name}/members")
    mean = graph.op("ReduceMean", members, graph.integers(1), keepdims=0, output=f"{name}/mean")
    zero = graph.number(0)
    entropy = graph.op("Max", _entropy(graph, mean, 1), zero, output=f"{name}/entropy")
    expected = graph.average(_entropy(graph, members, 2), 1)
    graph.op("Max", graph.op("Sub", entropy, expected), zero, output=f"{name}/mutual_information")
    count, classes = head.bias.shape
    shapes = {"members": ["N", count, classes], "mean": ["N", classes], "entropy": ["N"], "mutual_information": ["N"]}
    return [helper.make_tensor_value_info(f"{name}/{key}", TensorProto.FLOAT, shape) for key, shape in shapes.items()]


def _entropy(graph: GraphBuilder, probabilities: str, axis: int) -> str:
    logarithms = graph.op("Log", graph.op("Max", probabilities, graph.number(SMALLEST)))
    return graph.op("Neg", graph.total(graph.op("Mul", probabilities, logarithms), axis, keep=False))


def _golden_input(seed: int, seconds: int) -> dict[str, Float32]:
    """A made-up but plausible window, float32 [1, ...], in which one modality comes and goes and one is never seen."""
    generator = np.random.default_rng(seed)
    low = np.array([feature.low for feature in SECOND_FEATURES])
    span = np.array([feature.high for feature in SECOND_FEATURES]) - low
    coverage = generator.uniform(0.5, 1.0, (1, seconds, N_MODALITIES))
    flickering, absent = generator.choice(N_MODALITIES, 2, replace=False)
    coverage[:, ::2, flickering] = 0
    coverage[:, :, absent] = 0
    centre = low + span * generator.uniform(0.4, 0.6, (1, N_SECOND))
    values = np.clip(centre[:, None] + 0.1 * span * generator.standard_normal((1, seconds, N_SECOND)), low, low + span)
    return {
        "values": values.astype(np.float32),
        "coverage": coverage.astype(np.float32),
        "baseline": np.stack([centre, np.broadcast_to(0.1 * span, centre.shape)], axis=1).astype(np.float32),
    }


def _checked_means(
    data: bytes, heads: Mapping[str, Head], inputs: dict[str, Float32], population: Float32 | None
) -> dict[str, Float32]:
    """The golden means of every task [C] as onnxruntime computes them, once all outputs agree with the heads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs), strict=True))
    window = inputs["values"], inputs["coverage"], inputs["baseline"] if population is None else population[None]
    for name, head in heads.items():
        expected = head.predict(pool(*window) if isinstance(head, TaskHead) else _vectors(head.network, *window))
        for key in ("members", "mean", "entropy", "mutual_information"):
            difference = float(np.abs(outputs[f"{name}/{key}"] - getattr(expected, key)).max())
            if not difference < GOLDEN_TOLERANCE:
                raise ExportFailed(f"{name}/{key} of the exported graph is off by {difference:.2g}")
    return {name: outputs[f"{name}/mean"][0] for name in heads}


def _vectors(network: FusionNetwork, *window: Float32) -> Float32:
    with torch.no_grad():
        result: Float32 = network(*as_tensors(*window)).numpy()
    return result
