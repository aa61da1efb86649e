"""The learned fusion layers as ONNX nodes: what `training.trainers.fusion_network` computes, line by line."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from sentry_proto.types import Float32
from training.export.graph import GraphBuilder
from training.pooling import LARGEST, Z_CLIP
from training.trainers.fusion_network import LEVEL_CLIP, NOTHING, SMALLEST_VARIANCE, FusionNetwork


def add_fusion(graph: GraphBuilder, network: FusionNetwork, baseline: str) -> str:
    """Nodes from the inputs `values` and `coverage` and a baseline to the vectors [N, K, H]; returns their name."""
    covered = graph.op("Greater", "coverage", graph.number(0))
    coverage = graph.op("Where", covered, graph.op("Min", "coverage", graph.number(1)), graph.number(0))
    encoded = _encode(graph, network, covered, baseline)
    embedded = _embed(graph, network, encoded, coverage)
    return _mix(graph, network, embedded, graph.average(coverage, 1))


def _encode(graph: GraphBuilder, network: FusionNetwork, covered: str, baseline: str) -> str:
    """Seconds of each modality, [N, T, M, K, H]."""
    zero = graph.number(0)
    centre, scale = (graph.op("Gather", baseline, graph.integers(row), axis=1) for row in (0, 1))
    z = graph.op("Div", graph.op("Sub", "values", centre), scale)
    finite = graph.op("Less", graph.op("Abs", z), graph.number(LARGEST))
    modality = graph.constant(network.space.feature_modality)
    seen = graph.op("And", graph.op("Gather", covered, modality, axis=2), finite)
    level = graph.op("Sub", "values", graph.constant(_array(network.centre)))
    level = graph.op("Div", level, graph.constant(_array(network.scale)))
    parts = [
        graph.op("Where", seen, graph.op("Clip", part, graph.number(-clip), graph.number(clip)), zero)
        for part, clip in ((z, Z_CLIP), (level, LEVEL_CLIP))
    ]
    both, count = graph.op("Concat", *parts, axis=2), len(network.space.features)
    modalities = []
    for columns, weights in zip(network.columns, network.encode, strict=True):
        chosen = graph.op("Gather", both, graph.constant(np.concatenate([columns, columns + count])), axis=2)
        product = graph.op("MatMul", chosen, graph.constant(_array(weights.flatten(1))))
        modalities.append(graph.column(product, 2))
    stacked = graph.op("Concat", *modalities, axis=2)
    shape = graph.integers(0, 0, len(modalities), network.members, network.hidden)
    biased = graph.op("Add", graph.op("Reshape", stacked, shape), graph.constant(_array(network.encode_bias)))
    return graph.op("Tanh", biased)


def _embed(graph: GraphBuilder, network: FusionNetwork, encoded: str, coverage: str) -> str:
    """What is made of each modality alone, [N, M, K, H]."""
    score = graph.total(graph.op("Mul", encoded, graph.constant(_array(network.attend))), 4)
    weights = _shares(graph, score, graph.op("Unsqueeze", coverage, graph.integers(3, 4)))
    mean = graph.total(graph.op("Mul", weights, encoded), 1)
    deviation = graph.op("Sub", encoded, mean)
    variance = graph.total(graph.op("Mul", weights, graph.op("Mul", deviation, deviation)), 1)
    spread = graph.op("Sqrt", graph.op("Add", variance, graph.number(SMALLEST_VARIANCE)))
    statistics = graph.op("Squeeze", graph.op("Concat", mean, spread, axis=4), graph.integers(1))
    product = graph.op("MatMul", graph.column(statistics, 3), graph.constant(_array(network.project)))
    projected = graph.op("Squeeze", product, graph.integers(3))
    return graph.op("Tanh", graph.op("Add", projected, graph.constant(_array(network.project_bias))))


def _mix(graph: GraphBuilder, network: FusionNetwork, embedded: str, shares: str) -> str:
    """The gate: [N, M, K, H] and [N, M] -> [N, K, H]."""
    score = graph.total(graph.op("Mul", embedded, graph.constant(_array(network.gate))), 3, keep=False)
    score = graph.op("Add", score, graph.constant(_array(network.gate_bias)))
    gates = _shares(graph, score, graph.column(shares, 2))
    return graph.total(graph.op("Mul", graph.column(gates, 3), embedded), 1, keep=False)


def _shares(graph: GraphBuilder, score: str, coverage: str) -> str:
    """Coverage times exp(score), as shares along axis 1; 0 where nothing was seen."""
    weights = graph.op("Mul", coverage, graph.op("Exp", score))
    return graph.op("Div", weights, graph.op("Max", graph.total(weights, 1), graph.number(NOTHING)))


def _array(tensor: Tensor | Any) -> Float32:
    array: Float32 = np.ascontiguousarray(tensor.detach().numpy(), np.float32)
    return array
