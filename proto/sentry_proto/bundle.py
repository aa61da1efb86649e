"""The model bundle: one ONNX file whose metadata says all that an agent must know before it runs it.

The graph takes `values` float32 [N, T, F], `coverage` float32 [N, T, M] and `baseline` float32 [N, 2, F] (centre,
scale), and yields per live task `<task>/members` float32 [N, K, C] (class probabilities of the K ensemble members),
`<task>/mean` [N, C], `<task>/entropy` [N] and `<task>/mutual_information` [N], the last two in nats. A task that has
not passed its gate is not in the graph; it abstains, and the metadata says why.

The metadata stands as JSON under the key `METADATA_KEY` of the ONNX metadata properties, and holds a golden input
with the output that the exporting machine computed, so that an agent can tell a working bundle from a broken one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentry_proto.errors import InputError, LayoutMismatch, MalformedMessage
from sentry_proto.layout import LAYOUT_ID, N_MODALITIES, N_SECOND
from sentry_proto.tasks import Task, tasks_from_json, tasks_to_json
from sentry_proto.types import Float32

METADATA_KEY = "sentry"
FORMAT = 1
TARGET = "heads/current.onnx"
"""The name under which the update repository offers the bundle that agents should run."""

EXPRESSION_TARGET = "models/expression.onnx"
"""The name of an expression model that the offline keys approve in the place of the shipped one."""

TIMESTAMP_LIFE_S = 2 * 86_400
"""How long the timestamp of the update repository holds, from its signature on."""

_MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, InputError)
"""What reading a hostile JSON text can end in."""

GOLDEN_TOLERANCE = 1e-4
"""Largest difference between the golden output and what a machine computes."""


@dataclass(frozen=True)
class Golden:
    """An input and the mean output of every live task.

    Attributes:
        values, coverage, baseline: float32 [1, T, F], [1, T, M], [1, 2, F].
        means: task name -> float32 [C].
    """

    values: Float32
    coverage: Float32
    baseline: Float32
    means: Mapping[str, Float32]


@dataclass(frozen=True)
class BundleMetadata:
    """What a bundle is and where it comes from.

    Attributes:
        version: 1, 2, ...; 0 never occurs (it stands for "no bundle").
        parent: the version it was trained from, 0 for none.
        created: Unix seconds.
        tasks: the live tasks, with their alert rules.
        abstaining: task name -> why it is not live.
        temperatures: task name -> the temperature its logits were divided by.
        metrics: task name -> metric name -> value on the holdout, as the gate saw it.
        golden: for the self-test.
        layout_id: of the features that the heads were trained on.
        backbone: hex SHA-256 of the expression model that made these features; empty for the shipped one.
    """

    version: int
    parent: int
    created: float
    tasks: tuple[Task, ...]
    abstaining: Mapping[str, str]
    temperatures: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, Any]]
    golden: Golden
    layout_id: str = LAYOUT_ID
    backbone: str = ""

    def to_json(self) -> str:
        """The text that goes under `METADATA_KEY`."""
        golden = self.golden
        arrays = {"values": golden.values, "coverage": golden.coverage, "baseline": golden.baseline}
        return json.dumps(
            {
                "format": FORMAT,
                "version": self.version,
                "parent": self.parent,
                "created": self.created,
                "layout_id": self.layout_id,
                "backbone": self.backbone,
                "tasks": tasks_to_json(self.tasks),
                "abstaining": dict(self.abstaining),
                "temperatures": dict(self.temperatures),
                "metrics": {task: dict(values) for task, values in self.metrics.items()},
                "golden": {
                    **{name: _array_to_json(array) for name, array in arrays.items()},
                    "means": {task: _array_to_json(mean) for task, mean in golden.means.items()},
                },
            }
        )

    @staticmethod
    def from_json(text: str) -> BundleMetadata:
        """Inverse of `to_json`.

        Raises:
            LayoutMismatch: if the bundle was made for another feature layout.
            MalformedMessage: if anything else is wrong.
        """
        try:
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise MalformedMessage(f"bundle format {raw['format']!r} is not {FORMAT}")
            if raw["layout_id"] != LAYOUT_ID:
                raise LayoutMismatch(f"the bundle is for feature layout {raw['layout_id']!r}, not {LAYOUT_ID}")
            return _metadata(raw)
        except _MALFORMED as error:
            raise MalformedMessage(f"the bundle's metadata is malformed: {error!r}") from error


def _metadata(raw: dict[str, Any]) -> BundleMetadata:
    tasks = tasks_from_json(raw["tasks"]) if raw["tasks"] else ()
    golden = raw["golden"]
    values = _array_from_json(golden["values"], (1, -1, N_SECOND))
    seconds = values.shape[1]
    metadata = BundleMetadata(
        version=int(raw["version"]),
        parent=int(raw["parent"]),
        created=float(raw["created"]),
        tasks=tasks,
        abstaining={str(task): str(why) for task, why in raw["abstaining"].items()},
        temperatures={str(task): float(value) for task, value in raw["temperatures"].items()},
        metrics=dict(raw["metrics"]),
        golden=Golden(
            values=values,
            coverage=_array_from_json(golden["coverage"], (1, seconds, N_MODALITIES)),
            baseline=_array_from_json(golden["baseline"], (1, 2, N_SECOND)),
            means={task.name: _array_from_json(golden["means"][task.name], (len(task.classes),)) for task in tasks},
        ),
        backbone=str(raw.get("backbone", "")),
    )
    if metadata.version < 1:
        raise MalformedMessage(f"bundle version {metadata.version} is below 1")
    return metadata


def _array_to_json(array: Float32) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _array_from_json(text: str, shape: tuple[int, ...]) -> Float32:
    array = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(array).all():
        raise MalformedMessage("the bundle's golden arrays are not finite")
    return array
