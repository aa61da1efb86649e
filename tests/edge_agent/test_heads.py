"""Bundles: what runs, and the named table of what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from edge_agent.heads import Heads
from sentry_proto.bundle import Golden
from sentry_proto.errors import LayoutMismatch, MalformedMessage, SentryError, UnknownTask
from sentry_proto.tasks import DEFAULT_TASKS, FOCUS, STRESS, Task
from tests.edge_agent.bundles import bundle, head, other_golden, tampered, with_text
from tests.sentry_proto.records import window
from training.pooling import pool

GOOD = bundle()
OTHER_CLASSES = Task("stress", "ordinal", ("calm", "stressed", "very stressed"))

# name -> (bundle, configured tasks, error, words)
REFUSED: dict[str, tuple[Callable[[], bytes], tuple[Task, ...], type[SentryError], str]] = {
    "not ONNX": (lambda: b"no model", DEFAULT_TASKS, MalformedMessage, "no ONNX graph"),
    "empty": (lambda: b"", DEFAULT_TASKS, MalformedMessage, "no ONNX graph"),
    "cut off": (lambda: GOOD[: len(GOOD) // 2], DEFAULT_TASKS, MalformedMessage, "no ONNX graph"),
    "no metadata": (lambda: GOOD.replace(b"sentry", b"santry"), DEFAULT_TASKS, MalformedMessage, "no metadata"),
    "metadata is no text": (lambda: GOOD.replace(b"layout", b"lay\xffut"), DEFAULT_TASKS, MalformedMessage, "no text"),
    "metadata is no JSON": (lambda: with_text(GOOD, "{"), DEFAULT_TASKS, MalformedMessage, "malformed"),
    "another layout": (
        lambda: tampered(GOOD, lambda m: dataclasses.replace(m, layout_id="0123456789ab")),
        DEFAULT_TASKS,
        LayoutMismatch,
        "0123456789ab",
    ),
    "a task that is not configured": (lambda: GOOD, DEFAULT_TASKS[1:], UnknownTask, "'stress'"),
    "other classes": (lambda: GOOD, (OTHER_CLASSES,), UnknownTask, "configured are calm, stressed, very stressed"),
    "wrong golden output": (lambda: tampered(GOOD, other_golden), DEFAULT_TASKS, MalformedMessage, "golden"),
    "a task that is not in the graph": (
        lambda: tampered(bundle(task=FOCUS), lambda m: dataclasses.replace(m, tasks=(STRESS,), golden=golden())),
        DEFAULT_TASKS,
        MalformedMessage,
        "other inputs or outputs",
    ),
}  # fmt: skip


def golden() -> Golden:
    return Heads(GOOD, DEFAULT_TASKS).metadata.golden


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, tasks, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        Heads(data(), tasks)


def test_it_scores_like_the_exporter() -> None:
    heads = Heads(GOOD, DEFAULT_TASKS)
    features = window().features
    (prediction,) = heads.score(features)
    baseline = np.stack([features.baseline.centre, features.baseline.scale])
    expected = head(STRESS, 1).predict(pool(features.values[None], features.coverage[None], baseline[None]))
    assert heads.version == 1
    assert prediction.task == "stress"
    assert prediction.probabilities == pytest.approx(expected.mean[0].tolist(), abs=1e-5)
    assert prediction.entropy == pytest.approx(float(expected.entropy[0]), abs=1e-5)
    assert prediction.mutual_information == pytest.approx(float(expected.mutual_information[0]), abs=1e-5)


@pytest.mark.parametrize("seconds", [1, 30, 60])
def test_any_length_of_window_is_scored(seconds: int) -> None:
    (prediction,) = Heads(GOOD, DEFAULT_TASKS).score(window(seconds=seconds).features)
    assert sum(prediction.probabilities) == pytest.approx(1)


def test_a_result_that_is_not_finite_is_no_result() -> None:
    heads = Heads(GOOD, DEFAULT_TASKS)
    features = window().features
    broken = dataclasses.replace(
        features, baseline=dataclasses.replace(features.baseline, scale=np.full_like(features.baseline.scale, np.nan))
    )
    for prediction in heads.score(broken):
        assert np.isfinite(prediction.probabilities).all()
