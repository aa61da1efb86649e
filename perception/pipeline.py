"""Frame to window in one object: the live agent and the offline extraction run this same code."""

from __future__ import annotations

from dataclasses import dataclass

from perception.chain import FrameResult, Image, Perception
from perception.fusion import LATENESS_S, Second, SecondFuser
from perception.window import HOP_S, LENGTH_S, Windower
from sentry_proto.types import FeatureWindow


@dataclass(frozen=True, eq=False)
class Step:
    """What one frame led to: its own result, and the seconds and windows that it completed."""

    frame: FrameResult
    seconds: list[Second]
    windows: list[FeatureWindow]


class FeaturePipeline:
    """Perception, per-second fusion, baseline and windows of one camera.

    Args:
        perception: the models; the caller closes them.
        participant, session: whose frames these are.
        length_s, hop_s: of the windows, in seconds.
        lateness_s: how late a frame may be, in seconds.
    """

    def __init__(
        self,
        perception: Perception,
        participant: str,
        session: str,
        *,
        length_s: int = LENGTH_S,
        hop_s: int = HOP_S,
        lateness_s: float = LATENESS_S,
    ) -> None:
        self._perception = perception
        self.fuser = SecondFuser(lateness_s)
        self._windower = Windower(participant, session, length_s, hop_s)

    def start_session(self, participant: str, session: str) -> tuple[list[Second], list[FeatureWindow]]:
        """End the running session and begin another; returns what the old one still had pending."""
        rest = self.finish()
        self._perception.reset()
        self._windower.start_session(participant, session)
        return rest

    def feed(self, image: Image, t: float) -> Step:
        """Take a frame, uint8 [H, W, 3] in BGR order, captured at `t` Unix seconds.

        Raises:
            InputError: not a picture, or not a time.
        """
        frame = self._perception.process(image, t)
        seconds = self.fuser.add(t, frame.values, frame.camera_state)
        return Step(frame, seconds, self._windows(seconds))

    def finish(self) -> tuple[list[Second], list[FeatureWindow]]:
        """Emit what is pending, complete or not."""
        seconds = self.fuser.flush()
        return seconds, self._windows(seconds)

    def _windows(self, seconds: list[Second]) -> list[FeatureWindow]:
        return [window for second in seconds if (window := self._windower.push(second)) is not None]
