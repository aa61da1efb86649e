from __future__ import annotations

from types import SimpleNamespace

import pytest

from perception.emotion import ExpressionModel
from perception.providers import AUTO, CHOICES, CPU, candidates, check_running, offered
from sentry_proto.errors import InputError, MissingDependency

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
