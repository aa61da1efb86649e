from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError, ExpiredMetadataError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Targets
from tuf.ngclient import FetcherInterface, Updater

from sentry_proto.bundle import TARGET
from sentry_proto.durable import write_durable
from trainer_service import keyring, publisher
from trainer_service.keyring import Home
from trainer_service.publisher import Publisher
from trainer_service.repository import target_path
from trainer_service.update_server import Updates

NOW = datetime.now(UTC)
STEPS = ("target", "heads", "snapshot", "timestamp")


def nobody(_agent: str) -> bool:
    return False


class Fetcher(FetcherInterface):
    """Fetches through the update server's own rule."""

    def __init__(self, folder: Path, agent: str, is_canary: Callable[[str], bool]) -> None:
        self._updates, self._agent = Updates(folder, is_canary), agent

    def _fetch(self, url: str) -> Iterator[bytes]:
        offset, total = 0, 1
        while offset < total:
            reply = self._updates.fetch(url.removeprefix("trainer:"), offset, self._agent)
            if reply.missing:
                raise DownloadHTTPError("no such file", 404)
            total = reply.total
            offset += len(reply.data)
            yield reply.data


class Client:
    """What an agent does: one anchor for ever, one cache."""

    def __init__(self, home: Home, cache: Path, agent: str = "", is_canary: Callable[[str], bool] = nobody) -> None:
        self._home, self._cache, self._agent, self._is_canary = home, cache, agent, is_canary
        self._anchor = home.root_metadata.read_bytes()
        cache.mkdir(exist_ok=True)

    def fetch(self) -> tuple[int, bytes] | None:
        """The version and bytes on offer, or None."""
        cache = str(self._cache)
        fetcher = Fetcher(self._home.repository, self._agent, self._is_canary)
        updater = Updater(cache, "trainer:metadata/", cache, "trainer:targets/", fetcher, bootstrap=self._anchor)
        target = updater.get_targetinfo(TARGET)
        if target is None:
            return None
        return target.custom["version"], Path(updater.download_target(target)).read_bytes()


@pytest.fixture
def client(home: Home, tmp_path: Path) -> Client:
    return Client(home, tmp_path / "cache")


@pytest.fixture
def published(home: Home) -> Publisher:
    return Publisher(home.repository, keyring.load_online_signers(home))


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def test_a_new_repository_offers_nothing_and_is_valid(home: Home, tmp_path: Path, now: datetime) -> None:
    young = keyring.init(tmp_path / "young", "127.0.0.1", 7710, now)
    assert Client(young, tmp_path / "cache").fetch() is None
    assert Publisher(young.repository, keyring.load_online_signers(home)).current_version() == 0


def test_clients_get_what_is_published(published: Publisher, client: Client, now: datetime) -> None:
    for version, bundle in ((1, b"first"), (2, b"second" * 100_000), (3, b"first")):
        published.publish(version, bundle, now)
        assert published.current_version() == version
        assert client.fetch() == (version, bundle)


@pytest.mark.parametrize("failing", STEPS)
def test_killed_at_any_step_the_old_state_is_valid_and_the_next_publication_works(
    home: Home, client: Client, now: datetime, failing: str
) -> None:
    signers = keyring.load_online_signers(home)
    Publisher(home.repository, signers).publish(1, b"old", now)
    steps = iter(STEPS)

    def die_at_step(path: Path, data: bytes) -> None:
        if next(steps) == failing:
            raise KeyboardInterrupt
        write_durable(path, data)

    with pytest.raises(KeyboardInterrupt):
        Publisher(home.repository, signers, die_at_step).publish(2, b"new", now)
    again = Publisher(home.repository, signers)
    assert (again.current_version(), client.fetch()) == (1, (1, b"old"))
    again.publish(2, b"other", now)
    assert client.fetch() == (2, b"other")


def test_signatures_run_out_and_are_renewed(published: Publisher, client: Client, now: datetime) -> None:
    published.publish(1, b"bundle", now - timedelta(days=3))
    with pytest.raises(ExpiredMetadataError):
        client.fetch()
    published.renew(now)
    assert client.fetch() == (1, b"bundle")


def test_a_tampered_bundle_is_refused(home: Home, published: Publisher, client: Client, now: datetime) -> None:
    published.publish(1, b"bundle", now)
    (home.repository / "targets" / target_path(TARGET, b"bundle")).write_bytes(b"evil!!")
    with pytest.raises(RepositoryError):
        client.fetch()


def test_the_online_keys_cannot_sign_another_delegation(home: Home, client: Client, now: datetime) -> None:
    signers = keyring.load_online_signers(home)
    path = home.repository / "metadata" / "1.targets.json"
    stolen = Metadata[Targets].from_file(str(path))
    stolen.signed.expires = (now + timedelta(days=9)).replace(microsecond=0)
    stolen.sign(signers.heads)
    path.write_bytes(stolen.to_bytes())
    Publisher(home.repository, signers).renew(now)
    with pytest.raises(UnsignedMetadataError):
        client.fetch()


def test_a_rolled_back_timestamp_is_refused(home: Home, published: Publisher, client: Client, now: datetime) -> None:
    published.publish(1, b"old", now)
    timestamp = home.repository / "metadata" / "timestamp.json"
    old = timestamp.read_bytes()
    published.publish(2, b"new", now)
    assert client.fetch() == (2, b"new")
    timestamp.write_bytes(old)
    with pytest.raises(RepositoryError):
        client.fetch()


def test_old_states_are_cleared_away_and_the_current_one_stays(
    home: Home, published: Publisher, client: Client, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "KEPT", 3)
    for version in range(1, 8):
        published.publish(version, b"%d" % version, now)
    assert client.fetch() == (7, b"7")
    assert len(list((home.repository / "targets" / "heads").iterdir())) == 3
    assert json.loads((home.repository / "metadata" / "timestamp.json").read_text())["signed"]["version"] == 8


@pytest.mark.parametrize(
    ("age", "fresh"),
    [(timedelta(0), True), (timedelta(hours=23), True), (timedelta(hours=25), False), (timedelta(hours=-1), False)],
    ids=["just signed", "of today", "a day old", "of a clock that was ahead"],
)
@pytest.mark.parametrize("trial", [False, True])
def test_what_is_fresh_by_this_clock(home: Home, age: timedelta, fresh: bool, trial: bool) -> None:
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    publisher.publish(1, b"heads", NOW - age)
    if trial:
        publisher.ask({"lab-1": 0.0})
        publisher.try_out(2, b"tried", NOW)
    assert publisher.fresh(NOW) == fresh
    publisher.renew(NOW)
    assert publisher.fresh(NOW)
