from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

from perception import providers
from perception.emotion import ExpressionModel
from perception.providers import AUTO, CHOICES, CPU, candidates, check_running, clash, installed, offered
from sentry_proto.errors import EnvironmentFault, InputError, MissingDependency

EVERYTHING = ["AzureExecutionProvider", *(choice.provider for choice in CHOICES.values())]


@pytest.mark.parametrize(
    ("name", "there", "expected"),
    [
        (AUTO, [CPU], [CPU]),
        (AUTO, EVERYTHING, ["CUDAExecutionProvider", CPU]),
        ("cpu", EVERYTHING, [CPU]),
        ("cuda", EVERYTHING, ["CUDAExecutionProvider", CPU]),
        ("openvino", EVERYTHING, ["OpenVINOExecutionProvider", CPU]),
        ("coreml", EVERYTHING, ["CoreMLExecutionProvider", CPU]),
        ("directml", EVERYTHING, ["DmlExecutionProvider", CPU]),
    ],
)
def test_the_wanted_provider_comes_first_and_none_is_remote(name: str, there: list[str], expected: list[str]) -> None:
    assert candidates(name, there) == expected


@pytest.mark.parametrize("name", ["cuda", "openvino", "coreml", "directml"])
def test_a_missing_provider_is_an_error_with_the_fix(name: str) -> None:
    with pytest.raises(MissingDependency, match=rf"{name} was asked for.* offers cpu: .*sentry-lab\[edge"):
        candidates(name, [CPU, "AzureExecutionProvider"])


def test_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(InputError, match="tpu"):
        candidates("tpu", EVERYTHING)


def test_a_session_that_fell_back_is_refused() -> None:
    fallen = SimpleNamespace(get_providers=lambda: [CPU])
    check_running(AUTO, fallen)
    check_running("cpu", fallen)
    with pytest.raises(MissingDependency, match="does not start"):
        check_running("cuda", fallen)


def test_the_model_runs_where_it_is_told_to() -> None:
    assert ExpressionModel(provider="cpu").provider == CPU
    missing = next(name for name, choice in CHOICES.items() if choice.provider not in offered())
    with pytest.raises(MissingDependency, match=missing):
        ExpressionModel(provider=missing)


FACE = np.full((1, 48, 48), 128, np.uint8)


def test_a_provider_that_fails_is_an_error_in_words_and_no_silent_change(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(*arguments: object) -> NoReturn:
        raise EPFail("CUDA failure 2: out of memory")

    model = ExpressionModel(provider="cpu")
    model._session._sess = SimpleNamespace(run=fail)
    with pytest.raises(EnvironmentFault, match=r"no longer runs on CPUExecutionProvider: CUDA failure 2.*--provider"):
        model(FACE)
    assert capfd.readouterr().out == "", "standard output is for the report"


def refusing(wanted: str) -> Any:
    """ONNX Runtime's session, on a machine where one provider cannot be started."""

    def make(graph: bytes, options: Any, names: list[str], **others: Any) -> Any:
        if wanted in names:
            raise RuntimeError("no driver")
        return onnxruntime.InferenceSession(graph, options, names, **others)

    return make


def test_only_who_lets_sentry_choose_gets_another_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = CHOICES["cuda"].provider
    runtime = SimpleNamespace(
        InferenceSession=refusing(cuda), get_available_providers=lambda: [cuda, CPU], SessionOptions=None
    )
    monkeypatch.setattr(providers, "onnxruntime", runtime)
    assert ExpressionModel(provider=AUTO).provider == CPU
    with pytest.raises(MissingDependency, match="no driver"):
        ExpressionModel(provider="cuda")


def test_one_build_of_onnx_runtime_is_installed_here() -> None:
    assert len(installed()) == 1
    assert clash(installed()) == ""
    assert clash(["onnxruntime", "onnxruntime-gpu"]).startswith("onnxruntime and onnxruntime-gpu overwrite each other")


def test_two_builds_are_found_by_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-1.28.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.28.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installed() == ["onnxruntime", "onnxruntime-gpu"]


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "cpu"])
def test_another_provider_says_what_the_processor_says(name: str) -> None:
    if CHOICES[name].provider not in offered():
        pytest.skip(f"this build of ONNX Runtime has no {name}: {CHOICES[name].fix}")
    faces = np.random.default_rng(0).integers(0, 255, (8, 96, 96), np.uint8)
    expected, said = ExpressionModel(provider="cpu")(faces), ExpressionModel(provider=name)(faces)
    assert np.abs(said.probabilities - expected.probabilities).max() < 0.01
    assert (said.probabilities.argmax(1) == expected.probabilities.argmax(1)).all()
    spread = np.abs(expected.embedding).max()
    assert np.abs(said.embedding - expected.embedding).max() < 0.02 * spread
