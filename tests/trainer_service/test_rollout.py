"""Trials on the real store and the real update repository; agents are TUF clients that fetch under their own names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sentry_proto.durable import write_durable
from tests.trainer_service.test_publisher import Client
from trainer_service import keyring, registry, views
from trainer_service.canary import MORE, PASS, WAIT, Running
from trainer_service.keyring import Home
from trainer_service.publisher import Publisher
from trainer_service.registry import Decision, Model
from trainer_service.rollout import Rollout
from trainer_service.store import Store

Write = Callable[[Path, bytes], None]


class Killed(BaseException):
    """The trainer's process is gone."""


@dataclass
class Lab:
    """A trainer that can be killed and started anew, and two agents that keep what they have fetched."""

    home: Home
    store: Store
    folder: Path
    fleet: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fleet = {"a": Running(True, 1, "current", 0), "b": Running(True, 1, "current", 0)}
        self.start()
        self.publish(1, first=None)

    def start(self, write: Write = write_durable, seconds: float = 1e-9) -> None:
        """As after a kill: everything that is known comes from the disk."""
        self.publisher = Publisher(self.home.repository, keyring.load_online_signers(self.home), write)
        self.rollout = Rollout(self.store, self.publisher, lambda _: self.fleet, seconds)

    def publish(self, version: int, first: str | None, parent: int | None = None) -> None:
        before = self.rollout.live if parent is None else parent
        model = Model(version, before, 1.0, ("stress",), {"stress": {}}, b"bundle %d" % version)
        verdict = registry.CANARY if first else registry.PUBLISHED
        decision = Decision(1.0, "labels", "stress", verdict, "", version, before, version, 40, 3, {}, 40)
        self.rollout.publish(model, [decision], first)

    def gets(self, agent: str) -> int:
        """What an agent really fetches, by TUF with all its checks; it must be what it is told."""
        found = Client(self.home, self.folder / agent, agent, self.rollout.is_canary).fetch()
        assert found is not None
        assert found[1] == b"bundle %d" % found[0]
        assert found[0] == self.rollout.offered(agent)
        return found[0]

    def statuses(self) -> dict[int, str]:
        with self.store.read() as connection:
            return {model["version"]: model["status"] for model in views.models(connection)}

    def decisions(self) -> list[tuple[str, str, int]]:
        with self.store.read() as connection:
            return [(d["trigger"], d["verdict"], d["version"]) for d in views.decisions(connection, 9)]


@pytest.fixture
def lab(home: Home, store: Store, tmp_path: Path) -> Lab:
    return Lab(home, store, tmp_path)


def test_a_canary_gets_it_first_and_then_all(lab: Lab) -> None:
    assert (lab.gets("a"), lab.gets("b")) == (1, 1)
    assert lab.rollout.first_agent() == "a"
    lab.publish(2, first="a")
    assert (lab.gets("a"), lab.gets("b")) == (2, 1)
    assert lab.statuses() == {1: "current", 2: "canary"}
    told = lab.rollout.describe()
    assert told is not None
    assert (told["version"], told["agents"]) == (2, ["a"])
    lab.fleet["a"] = Running(True, 2, "current", 3)
    assert lab.rollout.look() is not None
    step = lab.rollout.look()
    assert step is not None
    assert step.kind == PASS
    lab.rollout.promote(step.words)
    assert (lab.gets("a"), lab.gets("b")) == (2, 2)
    assert lab.statuses() == {1: "superseded", 2: "current"}
    assert lab.decisions()[0] == ("canary", "published", 2)
    assert (lab.rollout.describe(), lab.rollout.look()) == (None, None)


def test_what_is_held_back_goes_from_the_canary_too(lab: Lab) -> None:
    lab.gets("a")
    lab.publish(2, first="a")
    assert lab.gets("a") == 2
    lab.publish(3, first=None, parent=1)
    assert (lab.gets("a"), lab.gets("b")) == (3, 3)
    assert lab.statuses() == {1: "superseded", 2: "rolled back", 3: "current"}


def test_another_agent_is_asked_too_and_keeps_what_it_has_in_the_next_trial(lab: Lab) -> None:
    lab.publish(2, first="a")
    lab.gets("a")
    lab.fleet["a"] = Running(False, 1, "current", 0)
    step = lab.rollout.look()
    assert step is not None
    assert (step.kind, step.agent) == (MORE, "b")
    assert (lab.gets("a"), lab.gets("b")) == (2, 2)
    lab.publish(3, first=None, parent=1)
    lab.publish(4, first="b")
    assert (lab.gets("a"), lab.gets("b")) == (3, 4)


def test_signatures_are_renewed_in_a_trial_and_agents_may_join_before_and_after(lab: Lab) -> None:
    lab.gets("b")
    lab.publish(2, first="a")
    lab.gets("a")
    for _ in range(2):
        lab.publisher.renew(datetime.now(UTC))
        assert (lab.gets("a"), lab.gets("b")) == (2, 1)
    lab.fleet["a"] = Running(False, 2, "current", 0)
    lab.rollout.look()
    assert lab.gets("b") == 2
    lab.rollout.promote("")
    assert (lab.gets("a"), lab.gets("b")) == (2, 2)


def test_a_trial_goes_on_after_a_restart_and_ends_if_trials_are_switched_off(lab: Lab) -> None:
    lab.publish(2, first="a")
    lab.start()
    assert (lab.gets("a"), lab.gets("b")) == (2, 1)
    step = lab.rollout.look()
    assert step is not None
    assert step.kind == WAIT
    lab.start(seconds=0)
    step = lab.rollout.look()
    assert step is not None
    assert step.kind == PASS


def publish(lab: Lab) -> None:
    lab.publish(2, first="a")


def pass_on(lab: Lab) -> None:
    lab.rollout.promote("")


def take_back(lab: Lab) -> None:
    lab.publish(3, first=None, parent=1)


def renew(lab: Lab) -> None:
    lab.publisher.renew(datetime.now(UTC))


AT_LAST: dict[Callable[[Lab], None], tuple[int, int]] = {
    publish: (2, 1),
    pass_on: (2, 2),
    take_back: (3, 3),
    renew: (2, 1),
}
WRITES: dict[Callable[[Lab], None], int] = {publish: 5, pass_on: 1, take_back: 4, renew: 6}


@pytest.mark.slow
@pytest.mark.parametrize(("work", "survived"), [(work, n) for work, count in WRITES.items() for n in range(count + 1)])
def test_killed_at_any_write_all_agents_still_rise_and_a_further_version_reaches_them(
    lab: Lab, work: Callable[[Lab], None], survived: int
) -> None:
    if work is not publish:
        lab.publish(2, first="a")
    lab.gets("a"), lab.gets("b")
    left = survived

    def die(path: Path, data: bytes) -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        write_durable(path, data)

    lab.start(die)
    before = (lab.rollout.offered("a"), lab.rollout.offered("b"))
    if survived < WRITES[work]:
        with pytest.raises(Killed):
            work(lab)
        lab.start()
        lab.publisher.renew(datetime.now(UTC))  # as the learner does when it starts
        assert (lab.gets("a"), lab.gets("b")) in (before, AT_LAST[work])
    else:
        work(lab)
        assert (lab.gets("a"), lab.gets("b")) == AT_LAST[work]
        lab.start()
    assert "pending" not in lab.statuses().values()
    lab.publish(9, first=None)
    assert (lab.gets("a"), lab.gets("b")) == (9, 9)
    assert list(lab.statuses().values()).count("current") == 1


def test_a_passed_trial_that_was_cut_off_is_told_once(lab: Lab) -> None:
    def die(path: Path, data: bytes) -> None:
        raise Killed

    lab.publish(2, first="a")
    lab.start(die)
    with pytest.raises(Killed):
        lab.rollout.promote("first time")
    lab.start()
    assert [trigger for trigger, _, _ in lab.decisions()] == ["labels", "labels"]
    lab.rollout.promote("second time")
    assert [trigger for trigger, _, _ in lab.decisions()] == ["canary", "labels", "labels"]


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_no_trial_without_seconds_or_before_a_first_version(home: Home, store: Store, seconds: float) -> None:
    publisher = Publisher(home.repository, keyring.load_online_signers(home))
    two = {"a": Running(True, 0, "", 0), "b": Running(True, 0, "", 0)}
    assert Rollout(store, publisher, lambda _: two, seconds).first_agent() is None
