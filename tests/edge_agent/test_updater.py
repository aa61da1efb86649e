"""Updates from a real repository; what is refused stands in tests/faults/test_update_attacks.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import zmq
from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface

from edge_agent.heads import Heads
from edge_agent.slots import Slots
from edge_agent.updater import SocketFetcher, UpdateClient, UpdateService
from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from sentry_proto.curve import Gatekeeper, server_socket
from sentry_proto.keys import AGENT, AllowList
from sentry_proto.tasks import DEFAULT_TASKS
from tests.edge_agent.bundles import bundle
from tests.edge_agent.trainer import Lab, eventually
from trainer_service import keyring
from trainer_service.publisher import Publisher
from trainer_service.update_server import Updates

NOW = datetime.now(UTC)


class Repository(FetcherInterface):
    """A trainer's update repository in a folder, and the wire to it."""

    def __init__(self, folder: Path, created: datetime = NOW) -> None:
        self.home = keyring.init(folder, "127.0.0.1", 6000, created)
        self.folder = self.home.repository
        self.publisher = Publisher(self.folder, keyring.load_online_signers(self.home))
        self.served = Updates(self.folder)
        self.reachable = True
        self.asked: list[str] = []

    def publish(self, version: int, data: bytes = b"", now: datetime = NOW) -> None:
        self.publisher.publish(version, data or bundle(version), now)

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.asked.append(url)
        if not self.reachable:
            raise exceptions.DownloadError("no answer")
        reply = self.served.fetch(url, 0)
        if reply.missing:
            raise exceptions.DownloadHTTPError("missing", 404)
        offset = 0
        while offset < reply.total:
            chunk = self.served.fetch(url, offset).data
            yield chunk
            offset += len(chunk)


class Agent:
    """One that fetches from a repository into its own folder."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.heads: Heads | None = None
        slots = Slots(folder / "bundles", partial(Heads, tasks=DEFAULT_TASKS))
        root = repository.home.root_metadata.read_bytes()
        self.elapsed = 0.0  # beside the time that really passes
        clock = lambda: time.monotonic() + self.elapsed  # noqa: E731
        self._client = UpdateClient(folder / "updates", root, repository, slots, clock=clock)

    def check(self) -> str:
        """One check by a service of its own; what it says."""
        service = UpdateService(self._client, lambda: self.heads, self._swap)
        eventually(lambda: service.state != "not checked yet", "a check is made")
        service.close()
        return service.state

    def _swap(self, heads: Heads) -> None:
        self.heads = heads

    @property
    def version(self) -> int:
        return self.heads.version if self.heads else 0


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "trainer")


@pytest.fixture
def agent(repository: Repository, tmp_path: Path) -> Agent:
    return Agent(repository, tmp_path / "agent")


def test_a_repository_that_offers_nothing_yet(agent: Agent) -> None:
    assert agent.check() == "no model is published yet"


def test_versions_follow_one_another(repository: Repository, agent: Agent) -> None:
    for version in (1, 2, 5):
        repository.publish(version)
        assert agent.check() == "current"
        assert agent.version == version


def test_an_unchanged_repository_costs_no_bundle(repository: Repository, agent: Agent) -> None:
    repository.publish(1)
    agent.check()
    repository.asked.clear()
    assert agent.check() == "current"
    assert not [path for path in repository.asked if path.startswith("targets/")]


def test_a_renewed_signature_is_no_new_model(repository: Repository, agent: Agent) -> None:
    repository.publish(1)
    agent.check()
    repository.publisher.renew(NOW)
    assert agent.check() == "current"


def test_an_absent_trainer_is_no_fault_of_the_model(repository: Repository, agent: Agent) -> None:
    repository.publish(1)
    agent.check()
    repository.reachable = False
    assert agent.check().startswith("unreachable")
    assert agent.version == 1


def test_an_announcement_wakes_it_once(repository: Repository, agent: Agent) -> None:
    service = UpdateService(agent._client, lambda: agent.heads, agent._swap)
    eventually(lambda: service.state == "no model is published yet", "the first check")
    repository.publish(1)
    service.announced(1)
    eventually(lambda: agent.version == 1, "the announced version runs", within_s=3)
    repository.asked.clear()
    service.announced(1)
    time.sleep(0.2)
    service.close()
    assert repository.asked == []


@pytest.mark.promise("R5")
def test_a_clock_in_the_past_is_noticed_and_does_not_lift_the_freeze(repository: Repository, agent: Agent) -> None:
    ahead = NOW + timedelta(days=40)  # of this machine's clock
    for version in (1, 2):
        repository.publish(version, now=ahead)
        assert agent.check().startswith("clock suspect"), "it says so, and follows"
        assert agent.version == version
    agent.elapsed = 3 * 86_400  # during which somebody keeps from it what is signed anew
    assert agent.check().startswith("frozen")
    repository.publish(3, now=ahead + timedelta(days=0.5))
    assert agent.check().startswith("frozen"), "nor does a later signature help that is too old by now"
    repository.publish(4, now=ahead + timedelta(days=3))
    assert agent.check().startswith("clock suspect")
    assert agent.version == 4


@pytest.mark.promise("R5")
def test_a_clock_in_the_past_is_noticed_after_a_restart_and_before_there_is_a_model(
    repository: Repository, agent: Agent, tmp_path: Path
) -> None:
    repository.publisher.renew(NOW + timedelta(days=40))
    assert agent.check().startswith("clock suspect")
    agent = Agent(repository, tmp_path / "agent")
    assert agent.check().startswith("clock suspect")
    agent.elapsed = 3 * 86_400
    assert agent.check().startswith("frozen")


@pytest.mark.promise("R5")
def test_a_trainer_whose_clock_was_put_right_is_believed(repository: Repository, agent: Agent) -> None:
    repository.publish(1, now=NOW + timedelta(days=730))
    assert agent.check().startswith("clock suspect")
    repository.publisher.renew(NOW)
    assert agent.check() == "current"
    repository.publish(2)
    assert agent.check() == "current"
    assert agent.version == 2


# ---- the wire


class Wire:
    """An update server on a real socket whose every answer a test can choose."""

    def __init__(self, lab: Lab, answer: Callable[[pb.FetchRequest], pb.FetchReply | None]) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = Gatekeeper(self._context, AllowList(lab.allowed), (AGENT,))
        self._socket = server_socket(self._context, lab.key.endpoints.updates, lab.secret, AGENT)
        self._answer, self._stop = answer, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(20):
                identity, data = self._socket.recv_multipart()
                reply = self._answer(pb.FetchRequest.FromString(data))
                if reply is not None:
                    self._socket.send_multipart([identity, reply.SerializeToString()])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._gate.close()
        self._context.term()


def fetched(tmp_path: Path, answer: Callable[[pb.FetchRequest], pb.FetchReply | None], largest: int = 1 << 20) -> bytes:
    lab = Lab(tmp_path)
    wire, fetcher = Wire(lab, answer), SocketFetcher(lab.key)
    try:
        return fetcher.download_bytes("metadata/timestamp.json", largest)
    finally:
        fetcher.close()
        wire.close()


def test_a_file_comes_in_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    size = limits.FETCH_CHUNK_BYTES

    def answer(request: pb.FetchRequest) -> pb.FetchReply:
        data = content[request.offset : request.offset + size]
        return pb.FetchReply(path=request.path, offset=request.offset, total=len(content), data=data)

    assert fetched(tmp_path, answer, len(content)) == content


# name -> (answer to a request, error)
BAD_ANSWERS: dict[str, tuple[Callable[[pb.FetchRequest], pb.FetchReply | None], type[Exception]]] = {
    "missing": (lambda r: pb.FetchReply(path=r.path, missing=True), exceptions.DownloadHTTPError),
    "more than a bundle may be": (
        lambda r: pb.FetchReply(path=r.path, total=1 << 40, data=b"x"),
        exceptions.DownloadLengthMismatchError,
    ),
    "a chunk that is too long": (
        lambda r: pb.FetchReply(path=r.path, offset=r.offset, total=1 << 24, data=bytes(limits.FETCH_CHUNK_BYTES + 1)),
        exceptions.DownloadLengthMismatchError,
    ),
    "endless": (
        lambda r: pb.FetchReply(path=r.path, offset=r.offset, total=r.offset + 2000, data=bytes(1000)),
        exceptions.DownloadLengthMismatchError,
    ),
    "stops in the middle": (
        lambda r: pb.FetchReply(path=r.path, offset=r.offset, total=10, data=b"" if r.offset else b"x"),
        exceptions.DownloadError,
    ),
    "another file": (lambda r: pb.FetchReply(path="metadata/other.json", total=1, data=b"x"), exceptions.DownloadError),
    "nothing": (lambda r: None, exceptions.SlowRetrievalError),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_an_error_in_time(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.updater.REPLY_S", 0.5)
    answer, error = BAD_ANSWERS[name]
    with pytest.raises(error):
        fetched(tmp_path, answer, 10_000)
