"""The loop from frame to record: everything that happens to a frame happens here, in one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edge_agent.capture import Capture
from edge_agent.consent import Permit
from edge_agent.observer import Observer
from edge_agent.outbox import Scored
from edge_agent.sources import Frame, Source
from edge_agent.state import State
from edge_agent.stats import SecondCounts, Timings
from perception.fusion import MAX_GAP_S, Second
from perception.pipeline import FeaturePipeline
from sentry_proto.errors import ConsentMissing, SentryError
from sentry_proto.types import CameraState, FeatureWindow, Record

UNPLUGGED_S = 3.0
"""A live source without a frame for this long counts as unplugged."""

FROZEN_RESTART_S = 5.0
"""A live picture that stands still for this long has its device reopened."""

Spool = Callable[[list[Record], list[Scored]], None]


class Loop:
    """Drives frames through perception, windows, heads and alerts into the spool.

    Args:
        source, capture: where frames come from.
        pipeline: frame to window.
        observer: window to records.
        state: kept up to date.
        permit: asked again and again whether the run may go on.
        spool: takes records and counts.
        on_scored: told the model version that has scored a window.
        duration: seconds of the source's clock after which the loop ends; None for no end.
        stop: ends the loop.
    """

    def __init__(
        self,
        source: Source,
        capture: Capture,
        pipeline: FeaturePipeline,
        observer: Observer,
        state: State,
        permit: Permit,
        spool: Spool,
        on_scored: Callable[[int], None],
        duration: float | None,
        stop: threading.Event,
    ) -> None:
        self._source, self._capture, self._pipeline, self._observer = source, capture, pipeline, observer
        self._state, self._permit, self._spool, self._on_scored = state, permit, spool, on_scored
        self._duration, self._stop = duration, stop
        self._begin: float | None = None
        self._seen = self._moving = time.monotonic()
        self.timings, self.seconds = Timings(), SecondCounts()
        self._wall_s = self._cpu_s = 0.0

    def run(self) -> None:
        """Work until the source ends, time is over, the consent ends or someone says stop.

        Raises:
            ConsentMissing: the consent ended; what was under way is forgotten.
            MediaError: the recording breaks off; what came before is worked out.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            self._work()
        except ConsentMissing:
            self._observer.end_session()
            raise
        except SentryError:
            self._finish()
            raise
        else:
            self._finish()
        finally:
            self._wall_s, self._cpu_s = time.perf_counter() - wall, time.process_time() - cpu

    def _work(self) -> None:
        for frame in self._capture:
            now = time.monotonic()
            self._permit.check(now)
            if self._stop.is_set() or self._time_is_over(frame):
                break
            if frame is None:
                self._idle(now)
            else:
                self._frame(frame, now)

    def figures(self) -> dict[str, Any]:
        """What was done, for the report."""
        return {
            "frames_read": self._capture.read,
            "frames_scored": self._state.frames,
            "frames_dropped": self._capture.dropped,
            "fps": round(self._state.frames / max(self._wall_s, 1e-9), 2),
            "stages": self.timings.summary(),
            "cpu_ms_per_frame": round(1000 * self._cpu_s / max(self._state.frames, 1), 2),
            "clock_rate": self._state.clock_rate,
            "seconds": self.seconds.total,
            "camera_states": dict(self.seconds.states),
            "face_seconds": self.seconds.face,
            "windows": self._observer.windows,
            "no_data_windows": self._observer.no_data,
            "alerts": self._observer.alerts,
        }

    def _time_is_over(self, frame: Frame | None) -> bool:
        t = frame.time if frame else time.time() if self._source.live else None
        if t is None:
            return False
        self._begin = t if self._begin is None else self._begin
        return self._duration is not None and t - self._begin >= self._duration

    def _frame(self, frame: Frame, now: float) -> None:
        state = self._state
        with self.timings.stage("frame"):
            if (frame.participant, frame.session) != (state.participant, state.session):
                self._begin_session(frame)
            elif frame.time - state.event_time > MAX_GAP_S:
                self.seconds.states[CameraState.UNPLUGGED.value] += int(frame.time - state.event_time)
            step = self._pipeline.feed(frame.image, frame.time)
            self._take(step.seconds, step.windows)
        self.timings.add(step.frame.stage_ms)
        self._seen = now
        state.frames += 1
        state.event_time, state.clock_rate = frame.time, self._source.clock_rate
        state.camera = step.frame.camera_state
        state.rate.add(now)
        self._watch_frozen(now)

    def _begin_session(self, frame: Frame) -> None:
        self._take(*self._pipeline.start_session(frame.participant, frame.session))
        self._put(list(self._observer.end_session()))
        self._state.participant, self._state.session = frame.participant, frame.session

    def _take(self, seconds: list[Second], windows: list[FeatureWindow]) -> None:
        for second in seconds:
            self.seconds.add(second)
        for window in windows:
            with self.timings.stage("window"):
                self._window(window)

    def _window(self, window: FeatureWindow) -> None:
        heads = self._state.heads  # the updater may replace it any time
        outcome = self._observer.window(window, heads, self._permit.consent_id)
        self._put(outcome.records, outcome.scored)
        if heads and outcome.predictions:
            self._on_scored(heads.version)

    def _put(self, records: list[Record], scored: list[Scored] | None = None) -> None:
        if records or scored:
            self._spool(records, scored or [])

    def _idle(self, now: float) -> None:
        """No frame has come: no data is not calm, and an open alert cannot go on for ever."""
        if now - self._seen > UNPLUGGED_S:
            self._state.camera = CameraState.UNPLUGGED
            self._put(list(self._observer.silence(time.time())))

    def _watch_frozen(self, now: float) -> None:
        if self._state.camera is not CameraState.FROZEN:
            self._moving = now
        elif now - self._moving > FROZEN_RESTART_S:
            self._moving = now
            self._capture.restart()

    def _finish(self) -> None:
        self._take(*self._pipeline.finish())
        self._put(list(self._observer.end_session()))
