"""Who may come in, and who is in: links, consents and visits of one agent.

A page begins with `hello`. With a link's token it is told what it would agree to; `consent` makes a visit of it. With
the secret of a visit it goes on with that, even after the agent was started anew.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.webrtc.booth import COUNTED, Kit
from edge_agent.webrtc.invites import Invite, InviteBook, LinkRefused
from edge_agent.webrtc.messages import Said, write
from edge_agent.webrtc.stream import IceServers
from edge_agent.webrtc.visit import Visit
from sentry_proto.errors import ConsentMissing, MalformedMessage

REPORTS = 100


@dataclass(frozen=True)
class House:
    """The rules of this agent.

    Attributes:
        information: what participants read before they agree.
        version: of that text, as it stands in consent records.
        hours: for which a consent holds.
        most: participants at once.
        ice: STUN and TURN servers.
    """

    information: str
    version: str
    hours: float
    most: int
    ice: IceServers


class Lobby:
    """All visits by the invitation that they came by.

    Args:
        house: the rules.
        invites: the links.
        kit: for each participant's booth.
        forget: drops what is spooled under withdrawn consents.
    """

    def __init__(self, house: House, invites: InviteBook, kit: Kit, forget: Callable[[], None]) -> None:
        self._house, self._invites, self._kit, self._forget = house, invites, kit, forget
        self.visits: dict[str, Visit] = {}
        self._reports: deque[dict[str, Any]] = deque(maxlen=REPORTS)
        self._over: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The newest visits that are over, in figures."""
        return list(self._reports)

    def figures(self) -> dict[str, Any]:
        """All visits since the start in figures, from any thread: counts as sums, the rest as of the slowest booth."""
        with self._lock:
            reports = [visit.booth.report() for visit in self.visits.values()]
            counts = sum((_counts(report) for report in reports), self._over.copy())
        stages: dict[str, dict[str, float]] = {}
        for name, ms in ((name, ms) for report in reports for name, ms in report.get("stages", {}).items()):
            stages[name] = max(stages.get(name, ms), ms, key=lambda one: one["p95_ms"])
        load = max((report.get("load_level", 0) for report in reports), default=0)
        return {**{name: counts[name] for name in COUNTED}, "load_level": load, "stages": stages}

    def rate(self, now: float) -> float:
        """Frames a second of all visits together; `now` in monotonic seconds."""
        with self._lock:
            return sum(visit.booth.state.rate.value(now) for visit in self.visits.values())

    def hangs(self, now: float) -> bool:
        """Whether a booth works no more though pictures come; `now` in monotonic seconds."""
        return any(visit.booth.hangs(now) for visit in self.visits.values())

    def look(self, token: str) -> str:
        """What a page is told that opens with a link.

        Raises:
            LinkRefused: the link opens nothing.
        """
        house, invite = self._house, self._invites.look(token, time.time())
        return write(
            "information",
            participant=invite.participant,
            text=house.information,
            version=house.version,
            hours=house.hours,
        )

    def agree(self, token: str, said: Said) -> tuple[Visit, str]:
        """The participant agreed: use the link up, record the consent and begin; returns what the page is told, too.

        Raises:
            LinkRefused: the link opens nothing, or there is no room.
            MalformedMessage: the page agreed to another text.
        """
        now = time.time()
        if said.version != self._house.version:
            raise MalformedMessage("the page agreed to another text than this agent's")
        invite = self._invites.look(token, now)
        self._check_room(invite)
        invite, secret = self._invites.use(token, now)
        until = now + 3600 * self._house.hours
        self._kit.consents.grant(invite.participant, until, now, text_version=self._house.version)
        return self._begin(invite), self._welcome("ready", secret)

    def come_back(self, secret: str) -> tuple[Visit, str]:
        """A page of an earlier connection is back; returns its visit and what it is told.

        Raises:
            LinkRefused: the visit is over, or there never was one.
        """
        invite = self._invites.come_back(secret)
        visit = self.visits.get(invite.token)
        if visit is None:
            self._check_room(invite)
            try:
                visit = self._begin(invite)
            except ConsentMissing:
                self._invites.end(invite.token, time.time())
                raise LinkRefused("over") from None
        return visit, self._welcome(visit.state)

    def _welcome(self, state: str, secret: str = "") -> str:
        return write("welcome", state=state, secret=secret, ice=list(self._house.ice))

    def _begin(self, invite: Invite) -> Visit:
        visit = Visit(invite, self._kit, self._house.ice, self._forget)
        with self._lock:
            self.visits[invite.token] = visit
        return visit

    def _check_room(self, invite: Invite) -> None:
        if any(visit.invite.participant == invite.participant for visit in self.visits.values()):
            raise LinkRefused("busy")
        if len(self.visits) >= self._house.most:
            raise LinkRefused("full")

    async def tick(self, now: float) -> None:
        """Once a second, `now` in monotonic seconds."""
        for visit in list(self.visits.values()):
            await visit.tick(now)
        self.sweep()

    def sweep(self) -> None:
        """Visits that are over are so for good."""
        for token, visit in list(self.visits.items()):
            if visit.state == "over":
                self._invites.end(token, time.time())
                self._forget_visit(token)

    async def close(self) -> None:
        """The agent ends; participants can come back when it is there again."""
        for visit in self.visits.values():
            await visit.end("closed")
        for token in list(self.visits):
            self._forget_visit(token)

    def _forget_visit(self, token: str) -> None:
        with self._lock:
            visit = self.visits.pop(token)
            report = visit.booth.report()
            self._over += _counts(report)
        self._reports.append({**report, "ended": visit.reason})


def _counts(report: Mapping[str, Any]) -> Counter[str]:
    return Counter({name: report.get(name, 0) for name in COUNTED})
