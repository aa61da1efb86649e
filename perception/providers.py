"""What runs an ONNX graph: execution providers by the names that a configuration gives them.

A provider that was asked for and is missing is an error that says what to install: a silent fall-back to the processor
would be found out only by its heat. Providers that would call a remote service are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import onnxruntime

from sentry_proto.errors import InputError, MissingDependency


class Choice(NamedTuple):
    """ONNX Runtime's name of a provider, and what offers it."""

    provider: str
    fix: str


CPU = "CPUExecutionProvider"
ONLY_ONE = "only one build of ONNX Runtime can be installed: uninstall the other first"
CHOICES = {
    "cpu": Choice(CPU, "install sentry-lab[edge]"),
    "cuda": Choice(
        "CUDAExecutionProvider",
        f"install sentry-lab[edge-gpu] on a machine with an NVIDIA driver, CUDA 12 and cuDNN 9; {ONLY_ONE}",
    ),
    "openvino": Choice("OpenVINOExecutionProvider", f"install sentry-lab[edge-openvino]; {ONLY_ONE}"),
    "coreml": Choice("CoreMLExecutionProvider", "it comes with sentry-lab[edge] on a Mac, and on no other machine"),
    "directml": Choice("DmlExecutionProvider", f"install sentry-lab[edge-directml] on Windows; {ONLY_ONE}"),
}
AUTO = "auto"
"""CUDA where this build of ONNX Runtime offers it and it works, else the processor."""


def candidates(name: str, offered: Sequence[str]) -> list[str]:
    """Providers to open a session with, the wanted one first.

    Args:
        name: one of `CHOICES`, or `AUTO`.
        offered: what this build of ONNX Runtime has.

    Raises:
        InputError: there is no such name.
        MissingDependency: this build has not got it.
    """
    if name == AUTO:
        return [provider for provider in (CHOICES["cuda"].provider, CPU) if provider in offered]
    if name not in CHOICES:
        raise InputError(f"The provider must be {AUTO} or one of {', '.join(CHOICES)}; not {name!r}.")
    choice = CHOICES[name]
    if choice.provider not in offered:
        there = ", ".join(known for known, other in CHOICES.items() if other.provider in offered)
        raise MissingDependency(
            f"The provider {name} was asked for, but the installed ONNX Runtime offers {there}: {choice.fix}."
        )
    return list(dict.fromkeys((choice.provider, CPU)))


def check_running(name: str, session: Any) -> None:
    """Refuse a session that fell back to another provider than the wanted one.

    Raises:
        MissingDependency: it did; ONNX Runtime itself only logs that, for want of a driver for example.
    """
    if name != AUTO and session.get_providers()[0] != CHOICES[name].provider:
        raise MissingDependency(
            f"The provider {name} was asked for and is installed, but does not start here: {CHOICES[name].fix}."
        )


def offered() -> list[str]:
    """What this build of ONNX Runtime has."""
    return list(onnxruntime.get_available_providers())
