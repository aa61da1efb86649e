"""Writes ONNX graphs node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class GraphBuilder:
    """Collects nodes and initializers; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node with one output."""
        name = output or f"#{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """An array of any type."""
        name = name or f"#c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        """An int64 vector."""
        return self.constant(np.array(values, np.int64))

    def as_float(self, tensor: str) -> str:
        """The same as float32."""
        return self.op("Cast", tensor, to=TensorProto.FLOAT)

    def total(self, tensor: str, axis: int, keep: bool = True) -> str:
        """The sum over an axis."""
        return self.op("ReduceSum", tensor, self.integers(axis), keepdims=int(keep))

    def average(self, tensor: str, axis: int) -> str:
        """The mean over an axis, which goes away."""
        return self.op("ReduceMean", tensor, self.integers(axis), keepdims=0)

    def column(self, tensor: str, axis: int) -> str:
        """The same with an axis of length 1 more."""
        return self.op("Unsqueeze", tensor, self.integers(axis))
