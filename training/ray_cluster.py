"""Ray, as Sentry uses it: an optional engine that must not report to anyone."""

from __future__ import annotations

import os

from sentry_proto.errors import MissingDependency


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine's cores.

    Ray reports usage to its makers unless told not to before it starts.

    Raises:
        MissingDependency: Ray is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise MissingDependency("Ray is not installed; install the extra sentry-lab[scale]") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
