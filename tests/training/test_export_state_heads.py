"""Bundles: onnxruntime says what numpy says, for any N and T, and a bundle gives its heads back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from sentry_proto.bundle import GOLDEN_TOLERANCE, METADATA_KEY, BundleMetadata
from sentry_proto.errors import LayoutMismatch, MalformedMessage
from sentry_proto.layout import LAYOUT_ID
from sentry_proto.tasks import FOCUS, STRESS
from tests.training.synthetic import make_study
from training.export.state_heads import ExportFailed, export_bundle, load_bundle
from training.pooling import pool
from training.trainers.state_heads import TaskHead, fit_head

OUTPUTS = ("members", "mean", "entropy", "mutual_information")


@pytest.fixture(scope="module")
def heads() -> dict[str, TaskHead]:
    three, five = make_study(people=6, windows=15), make_study(people=6, windows=20, classes=5)
    return {
        task.name: fit_head(task, study.pooled, study.allowed, np.ones(len(study.states)), study.participants)
        for task, study in ((STRESS, three), (FOCUS, five))
    }


@pytest.fixture(scope="module")
def bundle(heads: dict[str, TaskHead]) -> bytes:
    metrics = {"stress": {"brier": 0.4, "interval": [0.1, 0.2], "incumbent": None}}
    return export_bundle(heads, 3, 2, 1_700_000_000.0, {"anxiety": "no labels"}, metrics)


def run(data: bytes, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize(("people", "seconds"), [(1, 30), (7, 30), (3, 1), (3, 2), (3, 60), (2, 300)])
def test_agrees_with_numpy(bundle: bytes, heads: dict[str, TaskHead], people: int, seconds: int) -> None:
    study = make_study(people=people, windows=6, seconds=seconds, seed=50)
    outputs = run(bundle, {"values": study.values, "coverage": study.coverage, "baseline": study.baseline})
    assert set(outputs) == {f"{task}/{key}" for task in ("stress", "focus") for key in OUTPUTS}
    for task, head in heads.items():
        expected = head.predict(study.pooled)
        for key in OUTPUTS:
            np.testing.assert_allclose(outputs[f"{task}/{key}"], getattr(expected, key), atol=GOLDEN_TOLERANCE)


def test_nothing_that_comes_in_makes_it_say_nan(bundle: bytes, heads: dict[str, TaskHead]) -> None:
    study = make_study(people=1, windows=5)
    values, coverage, baseline = study.values.copy(), study.coverage.copy(), study.baseline.copy()
    values[0], values[1], coverage[2], coverage[3], baseline[4, 1] = np.nan, np.inf, 0, np.nan, 0
    outputs = run(bundle, {"values": values, "coverage": coverage, "baseline": baseline})
    for name, output in outputs.items():
        assert np.isfinite(output).all(), name
    expected = heads["stress"].predict(pool(values, coverage, baseline))
    np.testing.assert_allclose(outputs["stress/mean"], expected.mean, atol=GOLDEN_TOLERANCE)


def test_gives_back_what_went_in(bundle: bytes, heads: dict[str, TaskHead]) -> None:
    metadata, loaded = load_bundle(bundle)
    assert (metadata.version, metadata.parent, metadata.created) == (3, 2, 1_700_000_000.0)
    assert metadata.abstaining == {"anxiety": "no labels"}
    assert metadata.metrics["stress"]["interval"] == [0.1, 0.2]
    assert metadata.tasks == (STRESS, FOCUS)
    for name, head in heads.items():
        for field in ("centre", "scale", "weights", "bias"):
            np.testing.assert_array_equal(getattr(loaded[name], field), getattr(head, field))
        assert loaded[name].temperature == head.temperature
        assert loaded[name].weights.flags.writeable


def test_the_golden_input_gives_the_golden_output(bundle: bytes) -> None:
    session = ort.InferenceSession(bundle, providers=["CPUExecutionProvider"])
    golden = BundleMetadata.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY]).golden
    outputs = run(bundle, {"values": golden.values, "coverage": golden.coverage, "baseline": golden.baseline})
    for task, mean in golden.means.items():
        np.testing.assert_allclose(outputs[f"{task}/mean"][0], mean, atol=1e-6)
    assert (golden.coverage == 0).any()
    assert len(golden.means) == 2


def test_a_loaded_head_can_be_exported_again(bundle: bytes) -> None:
    metadata, loaded = load_bundle(bundle)
    again, _ = load_bundle(export_bundle(loaded, 4, 3, 0.0, {}, {}))
    assert again.version == 4
    assert again.tasks == metadata.tasks


def test_a_head_that_is_not_finite_is_not_exported(heads: dict[str, TaskHead]) -> None:
    broken = dataclasses.replace(heads["stress"], weights=heads["stress"].weights * np.float32(np.nan))
    with pytest.raises(ExportFailed, match="stress/members"):
        export_bundle({"stress": broken}, 1, 0, 0.0, {}, {})


def test_no_head_no_bundle() -> None:
    with pytest.raises(ExportFailed, match="at least one"):
        export_bundle({}, 1, 0, 0.0, {}, {})


SPOILED: dict[str, tuple[Any, type[Exception]]] = {
    "empty": (lambda data: b"", MalformedMessage),
    "garbage": (lambda data: b"\xff" * 500, MalformedMessage),
    "cut off": (lambda data: data[:-100], MalformedMessage),
    "another layout": (lambda data: data.replace(LAYOUT_ID.encode(), b"0" * 12), LayoutMismatch),
    "a parameter renamed": (lambda data: data.replace(b"stress/weights", b"stress/wEights"), MalformedMessage),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_no_bundle_is_refused(bundle: bytes, name: str) -> None:
    spoil, error = SPOILED[name]
    with pytest.raises(error):
        load_bundle(spoil(bundle))
