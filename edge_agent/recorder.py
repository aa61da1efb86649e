"""What `sentry-agent record` makes of frames and seconds: a session folder, and questions on the way."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_agent.loop import Consumer
from edge_agent.record_prompts import Prompts
from edge_agent.record_terminal import Terminal
from edge_agent.record_video import NAME, Film
from edge_agent.sources import Frame
from perception.fusion import Second
from perception.session_metadata import SessionMetadata
from perception.session_rows import QuestionnaireResult, level_labels
from perception.session_writer import SessionWriter
from sentry_proto.tasks import Task

log = logging.getLogger(__name__)


class Recorder(Consumer):
    """Keeps one session, which begins with its first frame.

    Args:
        root: the folder of all sessions.
        metadata: what is known before the first frame.
        tasks: asked about every `every` seconds.
        video: whether pictures are stored.
        results: questionnaires that were filled beforehand.
        terminal: where the participant answers.

    Attributes:
        writer: of the folder; None before the first frame.
        prompts: the questions; as `writer`.
    """

    def __init__(
        self,
        root: Path,
        metadata: SessionMetadata,
        tasks: Sequence[Task],
        every: float,
        video: bool,
        results: Sequence[QuestionnaireResult],
        terminal: Terminal,
    ) -> None:
        self._root, self._metadata = root, metadata
        self._tasks, self._every, self._video = tasks, every, video
        self._results, self._terminal = results, terminal
        self._film: Film | None = None
        self._silent = not tasks
        self.writer: SessionWriter | None = None
        self.prompts: Prompts | None = None

    def frame(self, frame: Frame) -> None:
        """Store the picture, if that is wanted, and talk with the participant."""
        if self.writer is None:
            self._begin(frame)
        if self._film:
            self._film.add(frame.image, frame.time)
        self._converse(frame.time)

    def idle(self, now: float, silent_s: float) -> None:
        """The talk goes on while the camera is away."""
        self._converse(now)

    def seconds(self, seconds: list[Second]) -> None:
        """Store them."""
        if self.writer:
            self.writer.add_seconds(seconds)

    def _begin(self, frame: Frame) -> None:
        metadata = replace(self._metadata, session_id=frame.session, started=float(math.floor(frame.time)))
        if self._video:
            metadata = replace(metadata, video=NAME, video_started=frame.time)
        self.writer = SessionWriter(self._root, metadata)
        log.info("the session folder is %s", self.writer.path)
        for result in self._results:
            self.writer.add_questionnaire(result)
        if self._video:
            self._film = Film(self.writer.path / NAME, frame.image, frame.time)
        self.prompts = Prompts(self._tasks, self._every, metadata.started, metadata.participant)

    def _converse(self, now: float) -> None:
        if self.prompts is None or self._silent:
            return
        if self._terminal.closed:
            self._silent = True
            self._terminal.say([*self.prompts.give_up(), "Standard input is closed: no more questions are asked."])
            return
        self._terminal.say(self.prompts.tick(now))
        while (self.prompts.open or self._terminal.person) and (line := self._terminal.line()) is not None:
            self._answer(line, now)

    def _answer(self, line: str, now: float) -> None:
        if self.prompts is None or self.writer is None:
            return
        if not self.prompts.open:
            self._terminal.say(["Nothing is asked right now."])
            return
        label, words = self.prompts.answer(line, now)
        if label:
            self.writer.add_label(label)
        self._terminal.say(words)

    def ask_rest(self, stop: threading.Event) -> None:
        """The recording has come to its end: ask about what was not asked about yet, and wait for the answers."""
        if self.prompts is None or self.writer is None or self._silent:
            return
        self._terminal.say(self.prompts.finish(self.writer.end))
        while self.prompts.open and (line := self._terminal.wait(stop)) is not None:
            self._answer(line, self.writer.end)

    def close(self) -> None:
        """Close the folder; what the questionnaires say becomes a label of the whole session.

        Raises:
            StorageError: the disk is full; the folder stays readable.
        """
        if self._film:
            self._film.close()
        if self.writer is None or self.prompts is None:
            return
        self._terminal.say(self.prompts.give_up())
        metadata = self.writer.metadata
        for label in level_labels(self._results, metadata.started, self.writer.end, metadata.participant):
            self.writer.add_label(label)
        self.writer.close()
