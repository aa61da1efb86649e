"""Bundles with learned fusion layers: torch, onnxruntime and the agent say the same, for any N and T."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from edge_agent.heads import Heads
from sentry_proto.bundle import GOLDEN_TOLERANCE
from sentry_proto.tasks import FOCUS, STRESS
from sentry_proto.types import Baseline, FeatureWindow
from tests.training.synthetic import make_study
from tests.training.window_study import SMALL_SPACE, make_windows
from training.export.state_heads import ExportFailed, Head, export_bundle, load_bundle
from training.feature_space import SECOND_SPACE
from training.trainers.fusion_fitting import FusionHead, FusionRecipe, fit_fusion
from training.trainers.fusion_network import as_tensors
from training.trainers.state_heads import TaskHead, fit_head

OUTPUTS = ("members", "mean", "entropy", "mutual_information")
RECIPE = FusionRecipe(members=3, hidden=5, epochs=3, batch=32)


@pytest.fixture(scope="module")
def heads() -> dict[str, Head]:
    """Stress and focus with learned layers that they share, anxiety on statistics pooling."""
    windows = make_windows(people=5, minutes=5, space=SECOND_SPACE)
    five = np.eye(5, dtype=bool)[np.arange(len(windows)) % 5]
    windows = dataclasses.replace(windows, allowed={**windows.allowed, "focus": five})
    fusion = fit_fusion(windows, np.arange(len(windows)), [STRESS, FOCUS], seed=0, recipe=RECIPE)
    task = dataclasses.replace(STRESS, name="anxiety")
    pooled, allowed = windows.pooled(), windows.allowed["stress"]
    return {**fusion.heads, "anxiety": fit_head(task, pooled, allowed, np.ones(len(pooled)), windows.people.tolist())}


@pytest.fixture(scope="module")
def bundle(heads: dict[str, Head]) -> bytes:
    return export_bundle(heads, 1, 0, 0.0, {}, {})


def by_torch(head: FusionHead, *window: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    output = head.predict(head.network(*as_tensors(*window)).numpy())
    return {key: getattr(output, key) for key in OUTPUTS}


def by_onnxruntime(data: bytes, *window: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = dict(zip(("values", "coverage", "baseline"), window, strict=True))
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize(("people", "seconds"), [(1, 30), (5, 30), (3, 1), (3, 2), (2, 120)])
def test_onnxruntime_agrees_with_torch(bundle: bytes, heads: dict[str, Head], people: int, seconds: int) -> None:
    study = make_study(people=people, windows=6, seconds=seconds, seed=50)
    window = study.values, study.coverage, study.baseline
    outputs = by_onnxruntime(bundle, *window)
    assert set(outputs) == {f"{task}/{key}" for task in ("stress", "focus", "anxiety") for key in OUTPUTS}
    for task in ("stress", "focus"):
        head = heads[task]
        assert isinstance(head, FusionHead)
        for key, expected in by_torch(head, *window).items():
            np.testing.assert_allclose(outputs[f"{task}/{key}"], expected, atol=GOLDEN_TOLERANCE)


def test_the_agent_agrees_with_torch(bundle: bytes, heads: dict[str, Head]) -> None:
    running = Heads(bundle, [head.task for head in heads.values()])
    study = make_study(people=2, windows=4, seed=51)
    for values, coverage, baseline in zip(study.values, study.coverage, study.baseline, strict=True):
        known = Baseline(baseline[0], baseline[1], seconds=60)
        window = FeatureWindow("p", "s", 0, len(values), values, coverage, known, "o" * len(values))
        answers = {answer.task: answer for answer in running.score(window)}
        assert set(answers) == set(heads)
        head = heads["stress"]
        assert isinstance(head, FusionHead)
        expected = by_torch(head, values[None], coverage[None], baseline[None])
        np.testing.assert_allclose(answers["stress"].probabilities, expected["mean"][0], atol=1e-4)
        assert answers["stress"].mutual_information == pytest.approx(expected["mutual_information"][0], abs=1e-4)


def test_nothing_that_comes_in_makes_it_say_nan(bundle: bytes, heads: dict[str, Head]) -> None:
    study = make_study(people=1, windows=5)
    values, coverage, baseline = study.values.copy(), study.coverage.copy(), study.baseline.copy()
    values[0], values[1], coverage[2], coverage[3], baseline[4, 1] = np.nan, np.inf, 0, np.nan, 0
    outputs = by_onnxruntime(bundle, values, coverage, baseline)
    for name, output in outputs.items():
        assert np.isfinite(output).all(), name
    head = heads["stress"]
    assert isinstance(head, FusionHead)
    np.testing.assert_allclose(outputs["stress/mean"], by_torch(head, values, coverage, baseline)["mean"], atol=1e-4)


def test_a_warm_start_gets_the_heads_on_statistics_pooling_alone(bundle: bytes) -> None:
    metadata, loaded = load_bundle(bundle)
    assert {task.name for task in metadata.tasks} == {"stress", "focus", "anxiety"}
    assert {name: type(head) for name, head in loaded.items()} == {"anxiety": TaskHead}


def test_a_head_of_other_features_is_not_exported() -> None:
    windows = make_windows(people=3, minutes=4)
    assert windows.space == SMALL_SPACE
    fusion = fit_fusion(windows, np.arange(len(windows)), [STRESS], seed=0, recipe=RECIPE)
    with pytest.raises(ExportFailed, match="other features"):
        export_bundle(fusion.heads, 1, 0, 0.0, {}, {})


def test_heads_trained_without_baselines_disregard_them(heads: dict[str, Head]) -> None:
    study = make_study(people=1, windows=5)
    population = study.baseline[0] + np.float32(1)
    data = export_bundle(heads, 1, 0, 0.0, {}, {}, population=population)
    outputs = by_onnxruntime(data, study.values, study.coverage, study.baseline)
    others = by_onnxruntime(data, study.values, study.coverage, study.baseline * np.float32(3))
    for name, output in outputs.items():
        np.testing.assert_array_equal(output, others[name])
    head = heads["stress"]
    assert isinstance(head, FusionHead)
    expected = by_torch(head, study.values, study.coverage, np.repeat(population[None], 5, 0))
    np.testing.assert_allclose(outputs["stress/mean"], expected["mean"], atol=1e-4)
    Heads(data, [head.task for head in heads.values()])
    assert load_bundle(data)[1] == {}
