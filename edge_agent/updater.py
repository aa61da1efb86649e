"""Model updates through The Update Framework: fetched over the trainer's update socket, verified, tried, then accepted.

    announced version != running, or `INTERVAL_S` passed
        -> TUF: root, timestamp, snapshot, targets, heads; bytes of the target          (who signed, how fresh)
        -> `Approved`: an expression model that the offline keys signed waits for the next start
        -> `Slots.accept`: layout, tasks, golden test, durable on the disk             (does it run here)
        -> `on_heads`: the agent swaps one reference between two windows

Whatever fails on the way ends in `state`, in words, and the incumbent keeps running. TUF judges freshness by this
machine's clock; if that stands before the trainer's last signature (`time_floor`), TUF is told the later time, and
`state` says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import zmq
from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Timestamp
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater as TufUpdater

from edge_agent.approved import Approved
from edge_agent.folder import make_folder
from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.time_floor import TimeFloor
from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.bundle import EXPRESSION_TARGET, TARGET
from sentry_proto.codec import parse
from sentry_proto.curve import client_socket
from sentry_proto.durable import sync_folder
from sentry_proto.errors import MalformedMessage, PeerFault, SentryError
from sentry_proto.keys import KeyFile

log = logging.getLogger(__name__)
logging.getLogger("tuf").setLevel(logging.CRITICAL)  # every failure is reported by us, in words

INTERVAL_S = 60.0
RETRY_S = 2.0
REPLY_S = 5.0
POLL_MS = 100
FILE_S = 60.0
CLOCK_TOLERANCE_S = 300.0
"""A signature may be made this much later than now by our clock."""

FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (tuf_errors.DownloadLengthMismatchError, "refused: the trainer sends more than it may"),
    (tuf_errors.DownloadError, "unreachable"),
    (tuf_errors.ExpiredMetadataError, "frozen: the update repository's signatures have run out"),
    (tuf_errors.RepositoryError, "refused: the update repository is not trustworthy"),
    (PeerFault, "refused"),
    (SentryError, "failed"),
    (OSError, "failed: the update cannot be kept"),
)
"""What went wrong, in words; the first that fits."""


def read_reply(data: bytes) -> pb.FetchReply:
    """A chunk of a file as the trainer sent it.

    Raises:
        MalformedMessage: if the bytes are none.
    """
    return parse(pb.FetchReply(), data)


class SocketFetcher(FetcherInterface):
    """Fetches files of the update repository in chunks; bounded in bytes per reply, in size and in time."""

    def __init__(self, key: KeyFile) -> None:
        self._key = key
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._aborted = threading.Event()

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._chunks(url)

    def _chunks(self, path: str) -> Iterator[bytes]:
        offset, deadline = 0, time.monotonic() + FILE_S
        while True:
            reply = self._ask(path, offset, deadline)
            if reply.missing:
                raise tuf_errors.DownloadHTTPError(f"the trainer has no {path}", 404)
            if reply.total > limits.MAX_BUNDLE_BYTES or len(reply.data) > limits.FETCH_CHUNK_BYTES:
                raise tuf_errors.DownloadLengthMismatchError(f"the trainer sends too much for {path}")
            yield reply.data
            offset += len(reply.data)
            if offset >= reply.total:
                return
            if not reply.data:
                raise tuf_errors.DownloadError(f"the trainer sends no more of {path} than {offset} bytes")

    def _ask(self, path: str, offset: int, deadline: float) -> pb.FetchReply:
        socket = self._socket = self._socket or client_socket(self._context, self._key.endpoints.updates, self._key)
        try:
            socket.send(pb.FetchRequest(path=path, offset=offset).SerializeToString())
            until = min(time.monotonic() + REPLY_S, deadline)
            while time.monotonic() < until and not self._aborted.is_set():
                if not socket.poll(POLL_MS):
                    continue
                reply = read_reply(socket.recv_multipart()[-1])
                if (reply.path, reply.offset) == (path, offset):
                    return reply
        except (zmq.Again, MalformedMessage) as error:
            self._drop()
            raise tuf_errors.DownloadError("the trainer's update socket does not answer") from error
        self._drop()
        raise tuf_errors.SlowRetrievalError("the trainer's update socket does not answer in time")

    def _drop(self) -> None:
        """A late reply must not meet the next request."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def abort(self) -> None:
        """Let a fetch that is under way fail at once; from any thread."""
        self._aborted.set()

    def close(self) -> None:
        """Disconnect; only once no fetch is under way."""
        self._drop()
        self._context.term()


def _tuf(metadata: Path, targets: Path, root: bytes, fetcher: FetcherInterface) -> TufUpdater:
    return TufUpdater(str(metadata), "metadata/", str(targets), "targets/", fetcher, bootstrap=root)


class UpdateClient:
    """One check at a time: the trainer's repository against what runs here."""

    def __init__(
        self,
        folder: Path,
        root: bytes,
        fetcher: FetcherInterface,
        slots: Slots,
        approved: Approved | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.approved = approved
        self._metadata, self._targets = folder / "metadata", folder / "targets"
        for place in (self._metadata, self._targets):
            make_folder(place)
        self._root, self._fetcher, self._slots = root, fetcher, slots
        self._floor = TimeFloor(self._metadata / "timestamp.json", clock)

    def clock_suspect(self, now: float) -> bool:
        """Whether this machine's clock stands before the trainer's last signature."""
        return now < self._floor.least() - CLOCK_TOLERANCE_S

    def check(self, now: float) -> Heads | None:
        """New heads, or None if there is nothing new.

        Raises:
            tuf.api.exceptions.DownloadError: the trainer does not answer.
            tuf.api.exceptions.RepositoryError: what it says is not trustworthy.
            PeerFault: the bundle is signed, yet does not run here.
            StorageError: the bundle cannot be kept.
        """
        tuf = self._refreshed(now)
        self._follow_approval(tuf)
        target = tuf.get_targetinfo(TARGET)
        sync_folder(self._metadata)
        digest = target.hashes.get("sha256", "") if target else ""
        if target is None or self._slots.has(digest):
            return None
        self._slots.check_not_given_up(digest)
        if target.length > limits.MAX_BUNDLE_BYTES:
            raise MalformedMessage(f"the offered bundle is {target.length} bytes long")
        return self._slots.accept(Path(tuf.download_target(target)).read_bytes())

    def _refreshed(self, now: float) -> TufUpdater:
        """All that says what is offered, verified."""
        tuf = _tuf(self._metadata, self._targets, self._root, self._fetcher)
        if not self.clock_suspect(now):
            tuf.refresh()
            return tuf
        trusted = tuf._trusted_set  # there is no public way
        trusted.reference_time = datetime.fromtimestamp(self._floor.least(), UTC)
        try:
            tuf.refresh()
        except tuf_errors.ExpiredMetadataError:
            if Timestamp.type not in trusted or not self._floor.revised_by(trusted.timestamp):
                raise
            tuf = _tuf(self._metadata, self._targets, self._root, self._fetcher)
            tuf.refresh()
        return tuf

    def _follow_approval(self, tuf: TufUpdater) -> None:
        """Only targets, signed offline, can offer an expression model: what is delegated to heads ends at heads/*."""
        if self.approved is None:
            return
        target = tuf.get_targetinfo(EXPRESSION_TARGET)
        digest = target.hashes.get("sha256", "") if target else ""
        if target is None:
            self.approved.withdraw()
        elif not self.approved.has(digest):
            if target.length > limits.MAX_BUNDLE_BYTES:
                raise MalformedMessage(f"the approved expression model is {target.length} bytes long")
            self.approved.accept(Path(tuf.download_target(target)).read_bytes(), digest)


def in_words(error: Exception) -> str:
    """What one of `FAILURES` means."""
    words = next(words for kind, words in FAILURES if isinstance(error, kind))
    return f"{words}: {error}"


def offered(folder: Path, root: bytes, fetcher: FetcherInterface) -> int:
    """The version that the trainer offers, 0 for none, as seen without a past.

    Raises:
        Exception: one of `FAILURES`.
    """
    target = _tuf(folder, folder, root, fetcher).get_targetinfo(TARGET)
    return int(target.custom["version"]) if target else 0


class UpdateService:
    """Checks when told of another version, every `INTERVAL_S`, and sooner after a failure of the network.

    Args:
        client: makes one check.
        running: tells which heads run.
        on_heads: takes new heads.

    Attributes:
        state: in words: `current`, `refused: ...`, `frozen: ...`, `unreachable: ...`.
    """

    def __init__(
        self, client: UpdateClient, running: Callable[[], Heads | None], on_heads: Callable[[Heads], None]
    ) -> None:
        self._client, self._running, self._on_heads = client, running, on_heads
        self._wake, self._closing = threading.Event(), threading.Event()
        self._announced = 0
        self.state = "not checked yet"
        self._thread = threading.Thread(target=self._run, name="updater", daemon=True)
        self._thread.start()

    def announced(self, version: int) -> None:
        """The trainer offers this version; one that was looked at already waits for the next regular check."""
        if version != self._announced:
            self._announced = version
            self._wake.set()

    def close(self) -> None:
        """Stop, once the check that is under way has ended."""
        self._closing.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = 0.0
        while not self._closing.is_set():
            self._wake.wait(wait_s)
            self._wake.clear()
            if self._closing.is_set():
                return
            state, done = self._check()
            if state != self.state:
                log.info("model updates: %s", state)
            self.state = state
            wait_s = INTERVAL_S if done else min(max(2 * wait_s, RETRY_S), INTERVAL_S)

    def _check(self) -> tuple[str, bool]:
        """Check once; returns the state in words, and whether the trainer was reached."""
        running, now = self._running(), time.time()
        try:
            heads = self._client.check(now)
        except tuple(kind for kind, _ in FAILURES) as error:
            words = in_words(error)
            return words, not words.startswith("unreachable")
        except Exception as error:  # our bug: the incumbent runs on, and the log has the traceback
            log.exception("the check for model updates failed")
            return f"failed: {error!r}", True
        if heads is not None:
            self._on_heads(heads)
        if self._client.clock_suspect(now):
            return "clock suspect: this machine's clock stands before the trainer's last signature", True
        state = "current" if heads or running else "no model is published yet"
        note = self._client.approved.words if self._client.approved else ""
        return f"{state}; {note}" if note else state, True
