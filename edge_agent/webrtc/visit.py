"""One participant's visit, from the join link to the end: what they say, and what becomes of it.

    state     said              next      what happens
    invited   consent           ready     the link is used up, the consent is recorded, the models start
    ready     offer             live      the browser's video is received
    live      pause             paused    what still comes is thrown away unseen
    paused    resume            live
    live, paused  offer         the same  a new connection takes the place of a lost one
    ready, live, paused  stop       over  what was received is finished
    ready, live, paused  withdraw   over  the consent record ends, and what was spooled under it is dropped

A visit outlives its connection by `GRACE_S`, so a reload or a network break costs nothing but the frames between. It
also ends where the consent ends elsewhere. Anything else that is said is a fault of the page, and ends its connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from edge_agent.webrtc.booth import Booth, Kit
from edge_agent.webrtc.invites import Invite
from edge_agent.webrtc.messages import Said, write
from edge_agent.webrtc.stream import IceServers, PeerStream
from sentry_proto.errors import MalformedMessage
from sentry_proto.json_log import fields
from sentry_proto.types import CameraState

log = logging.getLogger(__name__)

GRACE_S = 120.0
SILENT_S = 2.0
"""Without a frame for this long the page is told that none arrives."""

LAG_S, LAGGING_S = 1.5, 3.0
"""A stream whose frames are more than `LAG_S` old for `LAGGING_S` is connected anew, which empties every queue."""

NEXT = {
    ("ready", "offer"): "live",
    ("live", "offer"): "live",
    ("paused", "offer"): "paused",
    ("live", "pause"): "paused",
    ("paused", "pause"): "paused",
    ("paused", "resume"): "live",
    ("live", "resume"): "live",
    **{(state, last): "over" for state in ("ready", "live", "paused") for last in ("stop", "withdraw")},
}

Send = Callable[[str], None]


class Visit:
    """A participant who has agreed.

    Args:
        invite: by which they came.
        kit: for the booth.
        ice: for the stream.
        forget: drops what is spooled under withdrawn consents.

    Attributes:
        state: `ready`, `live`, `paused` or `over`.
        reason: why it is over: `stopped`, `withdrawn`, `left`, `failed` or `closed`.

    Raises:
        ConsentMissing: there is no live record.
    """

    def __init__(self, invite: Invite, kit: Kit, ice: IceServers, forget: Callable[[], None]) -> None:
        self.invite, self.state, self.reason = invite, "ready", ""
        self._kit, self._forget = kit, forget
        self.booth = Booth(kit, invite.participant)
        self.stream = PeerStream(ice, self.booth.source)
        self._send: Send | None = None
        self._alone = self._prompt = time.monotonic()
        self._frames, self._framed = 0, self._alone

    # ---- the page comes and goes ----------------------------------------------------------------------------------

    def attach(self, send: Send) -> None:
        """A page speaks for this participant from now on; another one that did is told to be silent."""
        if self._send is not None:
            self._send(write("refused", reason="elsewhere"))
        self._send = send

    def detach(self, send: Send) -> None:
        """This page is gone."""
        if self._send is send:
            self._send, self._alone = None, time.monotonic()

    # ---- what is said ---------------------------------------------------------------------------------------------

    async def hear(self, said: Said) -> None:
        """Take in what the page says.

        Raises:
            MalformedMessage: it makes no sense now.
        """
        following = NEXT.get((self.state, said.kind))
        if following is None:
            raise MalformedMessage(f"a page said {said.kind} while its visit was {self.state}")
        if following == "over":
            await self.end("withdrawn" if said.kind == "withdraw" else "stopped")
            return
        self.state = following
        self.stream.taking = following == "live"
        if said.kind == "offer":
            self._tell(write("answer", sdp=await self.stream.answer(said.sdp)))
            self._prompt = time.monotonic()
        else:
            self._log("paused" if following == "paused" else "goes on")

    async def end(self, reason: str) -> None:
        """End the visit; once is enough."""
        if self.state == "over":
            return
        self.state, self.reason = "over", reason
        self.stream.taking = False
        if reason == "withdrawn":
            self._kit.consents.withdraw(self.invite.participant, time.time())
        await self.stream.close()
        await asyncio.to_thread(self.booth.close)
        self._forget()
        self._log(reason)
        self._tell(write("ended", reason=reason))

    def _log(self, words: str) -> None:
        log.info("%s: %s", self.invite.participant, words, extra=fields(participant=self.invite.participant))

    # ---- as time goes by ------------------------------------------------------------------------------------------

    async def tick(self, now: float) -> None:
        """Once a second, `now` in monotonic seconds: tell the page how things stand, and end what has to end."""
        if self.state == "over":
            return
        if self.booth.ended:
            await self.end(self.booth.ended)
        elif self._send is None and now - self._alone > GRACE_S:
            await self.end("left")
        else:
            self._tell(write("status", **self.status(now)))
            self._watch_lag(now)

    def status(self, now: float) -> dict[str, Any]:
        """What the participant is told: never an estimate, which would change what they do next."""
        state = self.booth.state
        if state.frames != self._frames:
            self._frames, self._framed = state.frames, now
        silent = now - self._framed > SILENT_S
        camera = CameraState.UNPLUGGED if silent else state.camera
        return {"state": self.state, "camera": camera.value, "frames": state.frames}

    def _watch_lag(self, now: float) -> None:
        if self._send is None or self.state != "live" or self.stream.age_s <= LAG_S:
            self._prompt = now
        elif now - self._prompt > LAGGING_S:
            self._prompt = now
            log.warning(
                "%s: the stream lags %.1f s behind, connecting anew", self.invite.participant, self.stream.age_s
            )
            self._tell(write("again"))

    def _tell(self, message: str) -> None:
        if self._send is not None:
            self._send(message)
