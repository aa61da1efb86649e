"""What agents fetch: the files of the update repository, in chunks, and nothing else.

Who fetches is known from the CURVE key. All agents get the same files but for the timestamp, of which canaries have
their own while a version is tried.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.codec import parse
from sentry_proto.errors import MalformedMessage
from trainer_service.publisher import CANARY, TIMESTAMP

_NAME = r"[A-Za-z0-9_%-][A-Za-z0-9._%-]*"
_SERVED = re.compile(rf"metadata/{_NAME}\.json|targets/(?:{_NAME}/)*{_NAME}")
"""A name never begins with a dot, so there is no way up and no half-written file."""


class Updates:
    """Answers fetch requests from a folder with `metadata/`, `targets/` and, during a trial, `canary/`.

    Args:
        folder: the update repository.
        is_canary: whether the agent of this name gets what is tried.
    """

    def __init__(self, folder: Path, is_canary: Callable[[str], bool] = lambda _: False) -> None:
        self._folder = folder
        self._is_canary = is_canary

    def answer(self, data: bytes, agent: str = "") -> bytes | None:
        """The reply to an agent's encoded `FetchRequest`; None for bytes that are none."""
        try:
            request = parse(pb.FetchRequest(), data)
        except MalformedMessage:
            return None
        return self.fetch(request.path, request.offset, agent).SerializeToString()

    def fetch(self, path: str, offset: int, agent: str = "") -> pb.FetchReply:
        """One chunk of a file from `offset` on, as this agent sees it; `missing` where there is no such file."""
        reply = pb.FetchReply(path=path[: limits.MAX_WORDS], offset=offset)
        if len(path) > limits.MAX_TEXT or not _SERVED.fullmatch(path):
            reply.missing = True
            return reply
        try:
            with self._seen(path, agent).open("rb") as file:
                reply.total = os.fstat(file.fileno()).st_size
                file.seek(min(offset, reply.total))
                reply.data = file.read(limits.FETCH_CHUNK_BYTES)
        except OSError:
            reply.missing = True
        return reply

    def _seen(self, path: str, agent: str) -> Path:
        own = self._folder / CANARY / TIMESTAMP
        if path == f"metadata/{TIMESTAMP}" and self._is_canary(agent) and own.exists():
            return own
        return self._folder / path
