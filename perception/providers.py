"""What runs an ONNX graph: execution providers by the names that a configuration gives them.

A provider that was asked for and is missing is an error that says what to install: a silent fall-back to the processor
would be found out only by its heat. ONNX Runtime's own fall-back, of which it tells standard output alone, is switched
off for the same reason: a provider that fails is an error. Providers that would call a remote service are never used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
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
BUILDS = tuple(f"onnxruntime{kind}" for kind in ("", "-gpu", "-openvino", "-directml", "-qnn", "-rocm", "-migraphx"))
"""Packages that all write the same folder `onnxruntime`: of two, the one that was installed last runs, or a mixture."""

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


def open_session(name: str, graph: bytes, options: Any) -> Any:
    """A session on the provider of this name that never changes to another one by itself.

    Raises:
        InputError: there is no such provider.
        MissingDependency: it is not here, or does not start.
        Exception: the graph cannot be loaded; ONNX Runtime raises its own and plain RuntimeErrors alike.
    """
    wanted = candidates(name, offered())
    try:
        session = onnxruntime.InferenceSession(graph, options, wanted, enable_fallback=0)
    except Exception:
        if name != AUTO or wanted == [CPU]:
            raise
        session = onnxruntime.InferenceSession(graph, options, [CPU], enable_fallback=0)
    check_running(name, session)
    return session


def check_running(name: str, session: Any) -> None:
    """Refuse a session that fell back to another provider than the wanted one.

    Raises:
        MissingDependency: it did; ONNX Runtime itself only logs that, for want of a driver for example.
    """
    if name != AUTO and session.get_providers()[0] != CHOICES[name].provider:
        raise MissingDependency(
            f"The provider {name} was asked for and is installed, but does not start here: {CHOICES[name].fix}."
        )


def installed() -> list[str]:
    """The builds of ONNX Runtime that are installed here."""
    return [name for name in BUILDS if _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def clash(builds: Iterable[str]) -> str:
    """What is wrong with these builds of ONNX Runtime side by side, in words; empty if it is one."""
    names = list(builds)
    if len(names) < 2:
        return ""
    return f"{' and '.join(names)} overwrite each other: uninstall all of them, then install the one that is wanted"


def offered() -> list[str]:
    """What this build of ONNX Runtime has."""
    return list(onnxruntime.get_available_providers())
