"""A recording as a source: played at a given speed, once or for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from edge_agent.sources.base import Frame, Image, Pacer, aligned_start, session_name
from perception.pictures import ImageFolder
from perception.video import Thinner, VideoFile

Recording = VideoFile | ImageFolder


class FileSource:
    """A recording of one participant; its clock starts now. Nothing is dropped: it waits for its reader.

    Args:
        name: for people.
        opener: opens the recording, or a folder of pictures.
        participant: whose recording it is.
        speed: seconds of the recording in a second; None for as fast as possible.
        fps: most frames a second to yield; None for all.
        loop: begin anew at the end; the clock and the session go on.
        stop: set to end the run.

    Raises:
        MediaError: the file is missing, empty or no video.
    """

    live = False

    def __init__(
        self,
        name: str,
        opener: Callable[[], Recording],
        participant: str,
        speed: float | None,
        fps: float | None,
        loop: bool,
        stop: threading.Event,
    ) -> None:
        self.name = name
        self._opener, self._first = opener, opener()  # a broken file is an error before anything starts
        self._participant, self._loop = participant, loop
        self._pacer, self._thinner = Pacer(speed, stop), Thinner(fps)

    @property
    def clock_rate(self) -> float:
        """Seconds of the recording in a second of ours."""
        return self._pacer.rate

    def frames(self) -> Iterator[Frame | None]:
        """The recording's frames, and None for a picture of a folder that cannot be used.

        Raises:
            MediaError: it breaks off or holds no frame.
        """
        now = time.time()
        session = session_name(now)
        index = 0
        for image, t in self._pictures(aligned_start(now)):
            if not self._pacer.wait(t):
                return
            yield None if image is None else Frame(image, t, self._participant, session, index)
            index += image is not None

    def _pictures(self, begin: float) -> Iterator[tuple[Image | None, float]]:
        video = self._first
        while True:
            t = begin
            with video:
                for image, offset in video:
                    t = begin + offset
                    if image is None or self._thinner.passes(t):
                        yield image, t
            if not self._loop:
                return
            begin = t + 1 / video.fps
            video = self._opener()

    def close(self) -> None:
        """Nothing is open outside `frames`, but for the first look at the file."""
        self._first.close()
