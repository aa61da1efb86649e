"""Where the folds of a validation run: in this process, on all cores, or on Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from sentry_proto.errors import EnvironmentFault, InputError
from training import ray_cluster

ENGINES = ("local", "ray")
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Folds are the parallelism; threads within each would only get in one another's way."""

Shared = TypeVar("Shared")
Job = TypeVar("Job")
Answer = TypeVar("Answer")
Work = Callable[[Shared, Job], Answer]

_held: list[Any] = []
"""In a worker process: what all of its jobs share, sent once."""


def run_jobs(
    work: Callable[[Shared, Job], Answer],
    shared: Shared,
    jobs: Sequence[Job],
    engine: str = "local",
    workers: int | None = None,
) -> Iterator[tuple[int, Answer]]:
    """Answers of all jobs as they come, each with its index.

    Args:
        work: a function of a module, called as `work(shared, job)`.
        shared: what all jobs need; sent to each process once.
        jobs: any number of them.
        engine: `local` or `ray`.
        workers: processes of the local engine; None for one per core, 1 for this very process.

    Raises:
        InputError: there is no such engine.
        MissingDependency: Ray is not installed.
        EnvironmentFault: a worker was killed.
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    count = min(workers or os.cpu_count() or 1, len(jobs))
    if engine == "ray":
        yield from _run_ray(work, shared, jobs)
    elif count > 1:
        yield from _run_local(work, shared, jobs, count)
    else:
        yield from ((number, work(shared, job)) for number, job in enumerate(jobs))


def _run_local(work: Work[Any, Any, Any], shared: Any, jobs: Sequence[Any], count: int) -> Generator[tuple[int, Any]]:
    with (
        _environment(THREADS),
        ProcessPoolExecutor(count, get_context("spawn"), initializer=_hold, initargs=(shared,)) as pool,
    ):
        futures = {pool.submit(_work_held, work, job): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise EnvironmentFault("a worker was killed, perhaps for want of memory; try fewer workers") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run_ray(work: Work[Any, Any, Any], shared: Any, jobs: Sequence[Any]) -> Generator[tuple[int, Any]]:
    """The cluster decides how many run at once, and gives each one thread."""
    ray_cluster.connect()
    import ray  # noqa: PLC0415 - an optional dependency

    there = ray.put(shared)
    remote = ray.remote(work)
    waiting = {remote.remote(there, job): number for number, job in enumerate(jobs)}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        try:
            yield waiting.pop(done), ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error


def _hold(shared: Any) -> None:
    _held[:] = [shared]


def _work_held(work: Work[Any, Any, Any], job: Any) -> Any:
    return work(_held[0], job)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
