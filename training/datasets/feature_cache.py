"""Features of videos on disk, found again by what they were made of: one Parquet file per video.

A file's name is a digest of the video's content, the models' digests, the feature layout, the software's version, the
frame rate and how far into a UTC second the video starts. The video's name does not matter, so that a renamed one is
not worked on again; with any other model, layout or rate it is. The cache lies beside the video unless told otherwise,
so that who deletes a session's folder deletes all that was made of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from perception.extract import ERROR, table_metadata
from perception.session_features import Seconds, read_seconds
from sentry_proto.errors import InputError, MediaError, StorageError

CACHE = ".cache"


@dataclass(frozen=True)
class Video:
    """A recording and how to look at it.

    Attributes:
        path: of the file.
        fps: most frames a second; None for all.
        start: Unix seconds of the first frame; 0 if nobody knows.
        cache: folder for its features; `.cache` beside the video if None.
    """

    path: Path
    fps: float | None = None
    start: float = 0.0
    cache: Path | None = None

    @property
    def phase(self) -> float:
        """How far into a UTC second the video starts, in 0..1."""
        return self.start - math.floor(self.start)

    def features(self) -> Path:
        """Where the features are, or belong.

        Raises:
            MediaError: the video cannot be read.
            StorageError: the cache's folder cannot be made.
        """
        try:
            with self.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise MediaError(f"the video {self.path} cannot be read: {error.strerror}") from error
        folder = self.cache or self.path.parent / CACHE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageError(f"cannot make the cache {folder}: {error.strerror}") from error
        made_by = json.dumps([content, table_metadata(), self.fps, self.phase], sort_keys=True)
        return folder.absolute() / f"{hashlib.sha256(made_by.encode()).hexdigest()}.parquet"


def is_whole(features: Path) -> bool:
    """Whether there is such a file, and not a torn one."""
    try:
        pq.read_metadata(features)
    except (OSError, ValueError):  # pyarrow's errors are both
        return False
    return True


def read_features(features: Path, start: float) -> Seconds:
    """The seconds of a video whose first frame was at `start` Unix seconds.

    Raises:
        InputError: the file is torn.
        StorageError: it cannot be read.
    """
    seconds = read_seconds(features)
    return replace(seconds, start=seconds.start + math.floor(start))


def broken_off(features: Path) -> str:
    """Why the video of a features file ended early; empty if it did not.

    Raises:
        InputError: the file is torn.
    """
    try:
        metadata = pq.read_schema(features).metadata or {}
    except (OSError, ValueError) as error:
        raise InputError(f"{features} is no features file: {error}") from error
    return str(metadata.get(ERROR, b"").decode())
