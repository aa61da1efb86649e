"""What agents fetch: the files of the update repository, in chunks, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.codec import parse
from sentry_proto.errors import MalformedMessage

_NAME = r"[A-Za-z0-9_%-][A-Za-z0-9._%-]*"
_SERVED = re.compile(rf"metadata/{_NAME}\.json|targets/(?:{_NAME}/)*{_NAME}")
"""A name never begins with a dot, so there is no way up and no half-written file."""


class Updates:
    """Answers fetch requests from a folder with `metadata/` and `targets/`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, data: bytes) -> bytes | None:
        """The reply to an encoded `FetchRequest`; None for bytes that are none."""
        try:
            request = parse(pb.FetchRequest(), data)
        except MalformedMessage:
            return None
        return self.fetch(request.path, request.offset).SerializeToString()

    def fetch(self, path: str, offset: int) -> pb.FetchReply:
        """One chunk of a file from `offset` on; `missing` where there is no such file."""
        reply = pb.FetchReply(path=path[: limits.MAX_WORDS], offset=offset)
        if len(path) > limits.MAX_TEXT or not _SERVED.fullmatch(path):
            reply.missing = True
            return reply
        try:
            with (self._folder / path).open("rb") as file:
                reply.total = os.fstat(file.fileno()).st_size
                file.seek(min(offset, reply.total))
                reply.data = file.read(limits.FETCH_CHUNK_BYTES)
        except OSError:
            reply.missing = True
        return reply
