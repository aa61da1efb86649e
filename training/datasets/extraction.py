"""Features of many videos, on all cores of this machine or of a Ray cluster, by the code that the live agent runs.

Each finished video is in the cache, whole and on the disk; so a run that was killed goes on where it was. Every video
is looked at by models that have seen no other, so that its features do not depend on the order of work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from perception.extract import extract
from sentry_proto.errors import EnvironmentFault, InputError, MediaError
from training import ray_cluster
from training.datasets.feature_cache import Video, broken_off, is_whole


@dataclass(frozen=True)
class Extraction:
    """What became of one video.

    Attributes:
        video: as it was asked for.
        features: file in the cache; None where there are no features.
        trouble: why there are none, or why they end early; empty if neither is so.
    """

    video: Video
    features: Path | None
    trouble: str


@dataclass(frozen=True)
class _Job:
    """A video to work on and the file to make."""

    video: Video
    out: Path


Run = Callable[[Sequence[_Job], int | None], Generator[tuple[_Job, str]]]
"""Does jobs and says of each, as it ends, what is wrong with its video."""


def extract_all(
    videos: Sequence[Video], *, engine: str = "local", workers: int | None = None, progress: bool = False
) -> list[Extraction]:
    """Find the features of videos in their caches, or extract them.

    Args:
        videos: any number of them; of those with the same content and cache only one is worked on.
        engine: one of `ENGINES`.
        workers: processes of the local engine; None for one per core, 1 for this very process.
        progress: whether to show a bar on the standard error stream.

    Returns:
        One entry per video, in their order. A broken video is one of them, not an error.

    Raises:
        InputError: there is no such engine.
        MissingDependency: a model, or Ray, is absent.
        StorageError: a cache cannot be written.
        EnvironmentFault: a worker was killed.
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    places, broken = _find(videos)
    missing = {out: video for video, out in places.items() if out not in broken and not is_whole(out)}
    jobs = [_Job(video, out) for out, video in missing.items()]
    with _bar(progress and bool(jobs)) as bar, closing(ENGINES[engine](jobs, workers)) as done:
        task = bar.add_task("extracting features", total=len(jobs))
        for job, trouble in done:
            bar.advance(task)
            if trouble:
                broken[job.out] = trouble
    return [_result(video, places[video], broken.get(places[video], "")) for video in videos]


def _find(videos: Sequence[Video]) -> tuple[dict[Video, Path], dict[Path, str]]:
    """Where each video's features belong, and what is wrong with videos that are not even files."""
    places: dict[Video, Path] = {}
    broken: dict[Path, str] = {}
    for video in videos:
        try:
            places[video] = video.features()
        except MediaError as error:
            places[video] = video.path
            broken[video.path] = str(error)
    return places, broken


def _result(video: Video, out: Path, trouble: str) -> Extraction:
    return Extraction(video, None, trouble) if trouble else Extraction(video, out, broken_off(out))


def _bar(shown: bool) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True), disable=not shown)


def _work(job: _Job) -> str:
    """Extract one video into the cache; returns what is wrong with it."""
    try:
        extract(job.video.path, job.out, fps=job.video.fps, start=job.video.phase)
    except MediaError as error:
        return str(error)
    return ""


def _run_local(jobs: Sequence[_Job], workers: int | None) -> Generator[tuple[_Job, str]]:
    count = min(workers or os.cpu_count() or 1, len(jobs))
    if count <= 1:
        yield from ((job, _work(job)) for job in jobs)
        return
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        futures = {pool.submit(_work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            message = "a worker was killed, perhaps for want of memory; start again, and it goes on where it was"
            raise EnvironmentFault(message) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run_ray(jobs: Sequence[_Job], workers: int | None) -> Generator[tuple[_Job, str]]:
    """The cluster decides how many run at once; it must see the videos and the cache under the same paths."""
    if not jobs:
        return
    ray_cluster.connect()
    import ray  # noqa: PLC0415 - an optional dependency

    work = ray.remote(_work)
    waiting = {work.remote(job): job for job in jobs}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        try:
            yield waiting.pop(done), ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error


ENGINES: dict[str, Run] = {"local": _run_local, "ray": _run_ray}
