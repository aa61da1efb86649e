"""The receiving end of one browser's video: answers its offer, and puts what comes into a source."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from edge_agent.sources.base import Image
from edge_agent.webrtc.clock import CaptureClock
from edge_agent.webrtc.source import PeerSource
from sentry_proto.errors import MalformedMessage

log = logging.getLogger(__name__)

ANSWER_S = 10.0
IceServers = Sequence[dict[str, Any]]


class PeerStream:
    """At most one connection at a time; a new offer takes the place of the old one.

    Args:
        ice: STUN and TURN servers in the browsers' own form; none by default, and then nobody is asked.
        source: takes the pictures.

    Attributes:
        taking: whether pictures are taken; what comes while it is False is thrown away unseen.
        age_s: of the newest frame when it was decoded.
    """

    def __init__(self, ice: IceServers, source: PeerSource) -> None:
        self.taking = True
        self.age_s = 0.0
        self._source = source
        self._configuration = RTCConfiguration(iceServers=[RTCIceServer(**server) for server in ice])
        self._peer: RTCPeerConnection | None = None
        self._pump: asyncio.Task[None] | None = None

    async def answer(self, sdp: str) -> str:
        """Answer an offer.

        Raises:
            MalformedMessage: it is no offer that can be answered.
        """
        await self.close()
        peer = self._peer = RTCPeerConnection(self._configuration)
        peer.on("track", self._track)
        try:
            async with asyncio.timeout(ANSWER_S):
                await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
                await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # aiortc raises whatever parsing a stranger's SDP comes upon
            await self.close()
            raise MalformedMessage(f"the browser's offer cannot be answered: {str(error)[:200]}") from error
        return str(peer.localDescription.sdp)

    def _track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and self._pump is None:
            self._pump = asyncio.create_task(self._receive(track))

    async def _receive(self, track: MediaStreamTrack) -> None:
        """Empty the track as fast as it fills: it would keep every frame."""
        clock = CaptureClock()
        while True:
            try:
                frame = cast(VideoFrame, await track.recv())
            except MediaStreamError:
                return
            now = time.time()
            if frame.time is None:
                continue
            captured = clock.time(frame.time, now)
            self.age_s = now - captured
            if self.taking:
                self._source.put(picture(frame), captured)

    async def close(self) -> None:
        """End the connection."""
        pump, self._pump = self._pump, None
        peer, self._peer = self._peer, None
        self.age_s = 0.0
        if pump is not None:
            pump.cancel()
        if peer is not None:
            await peer.close()


def picture(frame: VideoFrame) -> Callable[[], Image]:
    """How to make a BGR picture, uint8 [H, W, 3], of a decoded frame."""
    return cast(Callable[[], Image], partial(frame.to_ndarray, format="bgr24"))
