"""A visit from link to end, with stand-ins for the models and no browser."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from edge_agent.consent import ConsentBook
from edge_agent.metrics import AgentCollector
from edge_agent.outbox import Totals
from edge_agent.state import State
from edge_agent.watch import NoTrial, discard
from edge_agent.webrtc import visit as visits
from edge_agent.webrtc.booth import Kit
from edge_agent.webrtc.invites import InviteBook, LinkRefused
from edge_agent.webrtc.lobby import House, Lobby
from edge_agent.webrtc.messages import KINDS, Said
from edge_agent.webrtc.visit import NEXT, Visit
from perception.schedule import Schedule
from sentry_proto.errors import MalformedMessage
from sentry_proto.metrics import LOCAL, offered
from tests.e2e.study import eventually
from tests.perception.stages import OneFace, stand_in
from training.active_learning.selection import Selector

TEXT = House("Please read.", "page 1", hours=8, most=2, ice=())


class Place:
    """One agent's lobby, with everything that it touches in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.invites = InviteBook(folder / "invites.json")
        self.consents = ConsentBook(folder / "consent.json")
        self.forgotten: list[frozenset[str]] = []
        self.kit = Kit(State(), self.consents, discard, NoTrial(), selector, stand_in_for)
        self.lobby = self.new_lobby()

    def new_lobby(self) -> Lobby:
        """As after a start of the agent."""
        return Lobby(TEXT, self.invites, self.kit, lambda: self.forgotten.append(self.consents.withdrawn_ids()))

    def link(self, participant: str = "P-01") -> str:
        return self.invites.issue(participant, time.time(), 60)

    def agree(self, participant: str = "P-01") -> tuple[Visit, str]:
        """A participant who comes in; their visit and the secret."""
        visit, words = self.lobby.agree(self.link(participant), Said("consent", version="page 1"))
        return visit, json.loads(words)["secret"]


def selector() -> Selector:
    return Selector(np.random.default_rng(0), 0.0, 0.0)


def stand_in_for(schedule: Schedule) -> Any:
    return stand_in(OneFace(), schedule=schedule)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    asyncio.run(made.lobby.close())


def send_frames(visit: Visit, seconds: float = 1.0) -> None:
    """Pictures that move, as if a stream brought them."""
    begin = time.time()
    for index in range(int(10 * seconds)):
        image = np.full((120, 160, 3), 100 + index % 50, np.uint8)
        image[index % 100] = 0
        seen = visit.booth.state.frames
        visit.booth.source.put(lambda image=image: image, begin + index / 10)  # type: ignore[misc]
        eventually(lambda seen=seen: visit.booth.state.frames > seen or None, 10, "the frame passes")  # type: ignore[misc]


def test_the_page_is_told_what_it_would_agree_to(place: Place) -> None:
    told = json.loads(place.lobby.look(place.link()))
    assert told == {
        "type": "information", "participant": "P-01", "text": "Please read.", "version": "page 1", "hours": 8,
    }  # fmt: skip
    assert place.consents.records == ()


def test_an_agreement_is_a_consent_record_with_the_text_that_was_read(place: Place) -> None:
    visit, _ = place.agree()
    (record,) = place.consents.records
    assert (record.participant, record.text_version, record.video) == ("P-01", "page 1", False)
    assert record.until == pytest.approx(record.granted + 8 * 3600)
    assert visit.booth.consent_id == record.consent_id


def test_another_text_is_no_agreement_and_uses_nothing_up(place: Place) -> None:
    token = place.link()
    with pytest.raises(MalformedMessage, match="another text"):
        place.lobby.agree(token, Said("consent", version="page 0"))
    assert place.consents.records == ()
    assert place.lobby.look(token)


def test_nobody_else_comes_in_by_a_used_link(place: Place) -> None:
    token = place.link()
    place.lobby.agree(token, Said("consent", version="page 1"))
    with pytest.raises(LinkRefused, match="used"):
        place.lobby.look(token)
    with pytest.raises(LinkRefused, match="used"):
        place.lobby.agree(token, Said("consent", version="page 1"))


@pytest.mark.parametrize(("there", "who", "reason"), [(["P-01"], "P-01", "busy"), (["P-01", "P-02"], "P-03", "full")])
def test_a_link_survives_when_there_is_no_room(place: Place, there: list[str], who: str, reason: str) -> None:
    for participant in there:
        place.agree(participant)
    token = place.link(who)
    with pytest.raises(LinkRefused, match=reason):
        place.lobby.agree(token, Said("consent", version="page 1"))
    assert place.lobby.look(token)
    assert len(place.consents.records) == len(there)


def test_each_participant_has_frames_and_baseline_of_their_own(place: Place) -> None:
    first, second = place.agree("P-01")[0], place.agree("P-02")[0]
    send_frames(first)
    assert (first.booth.state.participant, first.booth.state.frames) == ("P-01", 10)
    assert (second.booth.state.participant, second.booth.state.frames) == ("P-02", 0)
    assert len({record.consent_id for record in place.consents.records}) == 2


STATES = ("ready", "live", "paused", "over")


@pytest.mark.parametrize(("state", "kind"), sorted({(s, k) for s in STATES for k in KINDS} - set(NEXT)))
def test_what_has_no_place_in_the_table_is_a_fault_of_the_page(place: Place, state: str, kind: str) -> None:
    visit, _ = place.agree()
    visit.state = state
    with pytest.raises(MalformedMessage, match=kind):
        asyncio.run(visit.hear(Said(kind)))
    assert visit.state == state
    visit.state = "ready"  # so that the fixture ends it


def test_in_a_pause_nothing_is_taken(place: Place) -> None:
    visit, _ = place.agree()
    visit.state = "live"
    asyncio.run(visit.hear(Said("pause")))
    assert not visit.stream.taking
    asyncio.run(visit.hear(Said("resume")))
    assert visit.stream.taking


@pytest.mark.parametrize(("kind", "withdrawn"), [("stop", False), ("withdraw", True)])
def test_stop_keeps_the_consent_and_withdrawal_ends_it(place: Place, kind: str, withdrawn: bool) -> None:
    visit, secret = place.agree()
    send_frames(visit, 0.3)
    told: list[str] = []
    visit.attach(told.append)
    asyncio.run(visit.hear(Said(kind)))
    place.lobby.sweep()
    (record,) = place.consents.records
    assert (record.withdrawn is not None) is withdrawn
    assert place.forgotten[-1] == (frozenset({record.consent_id}) if withdrawn else frozenset())
    assert json.loads(told[-1]) == {"type": "ended", "reason": "withdrawn" if withdrawn else "stopped"}
    assert place.lobby.visits == {}
    with pytest.raises(LinkRefused, match="over"):
        place.lobby.come_back(secret)


def test_a_withdrawal_elsewhere_ends_the_visit(place: Place) -> None:
    visit, _ = place.agree()
    place.consents.withdraw("P-01", time.time())
    eventually(lambda: visit.booth.ended or None, 10, "the booth hears of it")
    asyncio.run(place.lobby.tick(time.monotonic()))
    assert (visit.state, visit.reason) == ("over", "withdrawn")
    assert place.lobby.visits == {}


def test_a_browser_comes_back_to_its_visit(place: Place) -> None:
    visit, secret = place.agree()
    visit.state = "paused"
    again, words = place.lobby.come_back(secret)
    assert again is visit
    assert json.loads(words)["state"] == "paused"


def test_a_browser_comes_back_after_the_agent_was_started_anew(place: Place) -> None:
    _, secret = place.agree()
    asyncio.run(place.lobby.close())
    place.lobby = place.new_lobby()
    again, words = place.lobby.come_back(secret)
    assert (again.invite.participant, json.loads(words)["state"]) == ("P-01", "ready")
    assert len(place.consents.records) == 1


def test_nobody_comes_back_to_a_consent_that_ended_meanwhile(place: Place) -> None:
    _, secret = place.agree()
    asyncio.run(place.lobby.close())
    place.consents.withdraw("P-01", time.time())
    place.lobby = place.new_lobby()
    with pytest.raises(LinkRefused, match="over"):
        place.lobby.come_back(secret)


def test_who_is_gone_for_long_has_left(place: Place) -> None:
    visit, _ = place.agree()
    asyncio.run(visit.tick(time.monotonic() + visits.GRACE_S - 5))
    assert visit.state == "ready"
    asyncio.run(visit.tick(time.monotonic() + visits.GRACE_S + 5))
    assert (visit.state, visit.reason) == ("over", "left")


def test_a_second_window_silences_the_first(place: Place) -> None:
    visit, _ = place.agree()
    first: list[str] = []
    second: list[str] = []
    visit.attach(first.append)
    visit.attach(second.append)
    visit.detach(first.append)
    asyncio.run(visit.tick(time.monotonic()))
    assert [json.loads(words)["type"] for words in first] == ["refused"]
    assert [json.loads(words)["type"] for words in second] == ["status"]


def test_the_page_hears_how_it_is_seen_and_no_estimate(place: Place) -> None:
    visit, _ = place.agree()
    visit.state = "live"
    send_frames(visit, 0.3)
    told = visit.status(time.monotonic())
    assert told == {"state": "live", "camera": "ok", "frames": 3}
    assert visit.status(time.monotonic() + 10)["camera"] == "unplugged"


def test_a_stream_that_lags_is_connected_anew(place: Place) -> None:
    visit, _ = place.agree()
    told: list[str] = []
    visit.attach(told.append)
    visit.state, visit.stream.age_s = "live", 5.0
    now = time.monotonic()
    asyncio.run(visit.tick(now))
    assert [json.loads(words)["type"] for words in told] == ["status"]
    asyncio.run(visit.tick(now + visits.LAGGING_S + 1))
    assert [json.loads(words)["type"] for words in told] == ["status", "status", "again"]


def test_an_offer_that_is_none_is_a_fault_of_the_page(place: Place) -> None:
    visit, _ = place.agree()
    with pytest.raises(MalformedMessage, match="cannot be answered"):
        asyncio.run(visit.hear(Said("offer", sdp="m=video nonsense")))


def test_a_fault_in_one_booth_is_told_and_ends_that_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(schedule: Schedule) -> Any:
        raise RuntimeError("no models today")

    place = Place(tmp_path)
    place.kit = replace(place.kit, perception=broken)
    place.lobby = place.new_lobby()
    visit, _ = place.agree()
    eventually(lambda: visit.booth.ended or None, 10, "the fault is seen")
    asyncio.run(place.lobby.tick(time.monotonic()))
    assert visit.reason == "failed"
    assert "no models today" in caplog.text


def test_a_booth_that_works_no_more_is_noticed(place: Place) -> None:
    visit, _ = place.agree()
    send_frames(visit)
    assert not place.lobby.hangs(0.0)
    assert not place.lobby.hangs(60.0), "nothing comes, so nothing hangs"
    gate = threading.Event()

    def slow() -> Any:
        gate.wait(10)
        return np.zeros((120, 160, 3), np.uint8)

    visit.booth.source.put(slow, time.time())
    assert not place.lobby.hangs(69.0)
    assert place.lobby.hangs(71.0)
    gate.set()
    eventually(lambda: not place.lobby.hangs(72.0), 10, "the frame passes")


def test_figures_count_visits_that_are_over_too(place: Place) -> None:
    first, second = place.agree("P-01")[0], place.agree("P-02")[0]
    send_frames(first, 2)
    asyncio.run(first.end("stopped"))
    place.lobby.sweep()
    send_frames(second)
    assert len(place.lobby.visits) == 1
    figures = place.lobby.figures()
    assert (figures["frames_scored"], figures["alerts"]) == (30, 0)
    assert figures["stages"]["frame"]["p95_ms"] > 0
    assert place.lobby.rate(time.monotonic()) > 0
    with offered(AgentCollector(place.lobby.figures, place.kit.agent, nothing, lambda: 1.0), LOCAL, 0) as port:
        text = urlopen(f"http://{LOCAL}:{port}/metrics", timeout=5).read().decode()
    assert "sentry_agent_frames_total 30.0" in text
    assert "P-0" not in text


def nothing() -> Totals:
    return Totals(0, 0, 0, 0)
