"""The acted puppet as a source: the demo's participants, on a clock that may run faster than ours.

The script's time is Unix time on the puppet's clock, so sessions begin at multiples of their length, a window's session
and start say what was acted in it, and no two runs give the same number to different sessions.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

from edge_agent.puppet.renderer import Puppet
from edge_agent.puppet.script import Playlist
from edge_agent.sources.base import Frame, Pacer


class PuppetSource:
    """Renders the playlist's people one after the other. Nothing is dropped: the clock waits for its reader.

    Args:
        speed: most seconds of the puppet's clock in a second; None for as fast as possible.
        fps: frames per second of the puppet's clock.
        stop: set to end the run.
        playlist: who acts.

    Raises:
        MissingDependency: the portrait's library is not installed.
    """

    name = "puppet"
    live = False

    def __init__(
        self, speed: float | None, fps: float, stop: threading.Event, playlist: Playlist | None = None
    ) -> None:
        self._playlist, self._puppet = playlist or Playlist(), Puppet()
        self._pacer, self._fps = Pacer(speed, stop), fps

    @property
    def clock_rate(self) -> float:
        """Seconds of the puppet's clock in a second of ours."""
        return self._pacer.rate

    def frames(self) -> Iterator[Frame]:
        """Frames for as long as the run lasts."""
        session_s = self._playlist.session_s
        begin = float(time.time() // session_s * session_s)
        for index in itertools.count():
            t = begin + index / self._fps
            if not self._pacer.wait(t):
                return
            person, session, session_t = self._playlist.at(t)
            yield Frame(self._puppet.render(person, session_t), t, person.name, f"s{session:04d}", index)

    def close(self) -> None:
        """Nothing is open."""
