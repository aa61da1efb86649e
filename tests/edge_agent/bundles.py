"""Bundles that the tests can steer: the probability of the last class follows one feature."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import onnx

from perception.bundles import model_path
from perception.emotion import MODEL
from sentry_proto.bundle import METADATA_KEY, BundleMetadata
from sentry_proto.tasks import STRESS, Task
from training.export.state_heads import export_bundle
from training.feature_space import SECOND_SPACE
from training.trainers.state_heads import TaskHead

CREATED = 1_750_000_000.0


def head(task: Task = STRESS, seed: int = 0, bias: float = 0.0) -> TaskHead:
    """Random weights; `bias` is added to the last class's logit."""
    random = np.random.default_rng(seed)
    classes = len(task.classes)
    offset = np.zeros((2, classes), np.float32)
    offset[:, -1] = bias
    return TaskHead(
        task=task,
        centre=np.zeros(SECOND_SPACE.n_pooled, np.float32),
        scale=np.ones(SECOND_SPACE.n_pooled, np.float32),
        weights=random.normal(0, 0.001, (2, SECOND_SPACE.n_pooled, classes)).astype(np.float32),
        bias=offset,
        temperature=1.0,
    )


@lru_cache(maxsize=64)
def bundle(version: int = 1, task: Task = STRESS, bias: float = 0.0, created: float = CREATED) -> bytes:
    """A bundle with one live task."""
    return export_bundle({task.name: head(task, version, bias)}, version, version - 1, created, {}, {})


def tampered(data: bytes, change: Callable[[BundleMetadata], BundleMetadata]) -> bytes:
    """The same graph with other metadata."""
    model = onnx.load_from_string(data)
    metadata = BundleMetadata.from_json({e.key: e.value for e in model.metadata_props}[METADATA_KEY])
    return with_text(data, change(metadata).to_json())


def with_text(data: bytes, text: str) -> bytes:
    """The same graph with this text as metadata."""
    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    result: bytes = model.SerializeToString()
    return result


def other_golden(metadata: BundleMetadata) -> BundleMetadata:
    """Metadata whose golden output is off by 0.01."""
    means: dict[str, Any] = {
        task: mean + np.array([0.01, -0.01, 0], np.float32) for task, mean in metadata.golden.means.items()
    }
    return dataclasses.replace(metadata, golden=dataclasses.replace(metadata.golden, means=means))


@lru_cache(maxsize=1)
def other_model() -> bytes:
    """An expression model that is not the shipped one, though it says the same."""
    model = onnx.load(model_path(MODEL))
    model.doc_string = "another one"
    result: bytes = model.SerializeToString()
    return result
