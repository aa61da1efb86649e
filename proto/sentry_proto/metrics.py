"""Figures for Prometheus, at `http://HOST:PORT/metrics`; on this machine only unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sentry_proto.errors import InputError, MissingDependency

LOCAL = "127.0.0.1"


@contextmanager
def offered(collector: Any, host: str, port: int) -> Iterator[int]:
    """Answer Prometheus for as long as the block lasts; yields the port.

    Raises:
        MissingDependency: prometheus_client is not installed.
        InputError: the address cannot be used.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingDependency("Metrics need prometheus_client; install sentry-lab[metrics].") from error
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise InputError(f"Metrics cannot be offered at {host}:{port}: {error}.") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address(text: str) -> tuple[str, int]:
    """`PORT`, or `HOST:PORT`, as a host and a port.

    Raises:
        InputError: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InputError(f"an address to listen on is PORT or HOST:PORT; {text!r} is neither")
    return host or LOCAL, int(port)
