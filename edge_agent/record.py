"""A recording, composed: one session into one folder, and the participant asked on the way.

source -> capture -> perception, fusion -> recorder -> session folder
                                             ^ '-> video, with a consent that covers it
participant <-> terminal <-> prompts --------'
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_agent.capture import capture
from edge_agent.consent import PUPPET_CONSENT, VIDEO, ConsentBook, Permit, check_participant
from edge_agent.folder import make_folder
from edge_agent.loop import Loop
from edge_agent.puppet.script import Playlist, person_named
from edge_agent.record_prompts import Interview
from edge_agent.record_terminal import Terminal
from edge_agent.recorder import Recorder
from edge_agent.sources import PUPPET, PUPPET_FPS, Frame, Source, SourceOptions, open_source
from edge_agent.state import State
from perception.chain import Perception
from perception.pipeline import FeaturePipeline
from perception.session_metadata import SessionMetadata, check_folder_name
from perception.session_rows import QuestionnaireResult
from perception.session_writer import new_session_id
from sentry_proto.errors import SentryError
from sentry_proto.purposes import PURPOSES
from sentry_proto.questionnaires import Questionnaire
from sentry_proto.tasks import DEFAULT_TASKS, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordOptions:
    """What `sentry-agent record` was asked to do.

    Attributes:
        participant: a pseudonym.
        data_dir: with the consent records.
        source: a camera's number or device, a stream's address, `puppet`, or a recording.
        out: the folder of all sessions.
        minutes: of the source's clock after which the recording ends; None for no end.
        video: whether pictures are stored.
        every: seconds between two prompts.
        ask: tasks to be asked about.
        questionnaires: to be filled beforehand.
        tasks: that the labels are for.
        speed: of a recording's or the puppet's clock; None for as fast as possible.
        fps: most frames a second; None for all.
        purpose: one of `PURPOSES`.
    """

    participant: str
    data_dir: Path
    source: str = "0"
    out: Path = Path("custom_sessions")
    minutes: float | None = None
    video: bool = False
    every: float = 60.0
    ask: tuple[Task, ...] = ()
    questionnaires: tuple[Questionnaire, ...] = ()
    tasks: tuple[Task, ...] = DEFAULT_TASKS
    speed: float | None = 1.0
    fps: float | None = None
    purpose: str = PURPOSES[0]


def record(
    options: RecordOptions, stop: threading.Event, terminal: Terminal
) -> tuple[dict[str, Any], SentryError | None]:
    """Record a session until its time is over, its source ends or `stop` is set.

    Returns:
        The report, and what ended the recording early, if anything did.

    Raises:
        SentryError: it cannot start; the sentence says why.
    """
    check_participant(options.participant)
    check_folder_name("participant", options.participant)
    permit = ask_permit(options)
    make_folder(options.out)
    open_recorded(options, stop).close()  # a camera that is missing is known before anybody fills a form
    results = interview(options.questionnaires, terminal, stop)
    over = threading.Event()  # frees the camera while the last answers are awaited
    with ExitStack() as stack:
        stack.callback(over.set)
        source = stack.enter_context(closing(OneSession(open_recorded(options, over), options.participant)))
        recorder = make_recorder(options, permit, source.name, results, terminal)
        pipeline = FeaturePipeline(stack.enter_context(Perception()), "", "")
        duration = 60 * options.minutes if options.minutes else None
        loop = Loop(source, capture(source, over), pipeline, recorder, State(), permit, duration, stop)
        log.info("%s", start_line(options, source.name))
        ended_by = drive(loop, recorder, stop, over)
        return report(loop, recorder, source.name, options, ended_by), ended_by


def drive(loop: Loop, recorder: Recorder, stop: threading.Event, over: threading.Event) -> SentryError | None:
    """Run the loop and close the folder; returns what ended it early."""
    ended_by: SentryError | None = None
    try:
        loop.run()
    except SentryError as error:
        ended_by = error
    over.set()
    try:
        if ended_by is None and not stop.is_set():
            recorder.ask_rest(stop)
        recorder.close()
    except SentryError as error:
        ended_by = ended_by or error
    return ended_by


def ask_permit(options: RecordOptions) -> Permit:
    """Whoever is recorded must have agreed to it, and to video if pictures are stored; the puppet is nobody.

    Raises:
        ConsentMissing: if there is no such record.
    """
    who = None if options.source == PUPPET else options.participant
    return Permit(ConsentBook(options.data_dir / "consent.json"), who, PUPPET_CONSENT, [VIDEO] if options.video else [])


def open_recorded(options: RecordOptions, over: threading.Event) -> Source:
    """Open the source; of the puppet's people one acts all the time, under the participant's name.

    Raises:
        CameraError, MediaError: it cannot be opened.
    """
    if options.source == PUPPET:
        from edge_agent.sources.puppet import PuppetSource  # noqa: PLC0415 - loads the portrait, which only it needs

        playlist = Playlist((person_named(options.participant),))
        return PuppetSource(options.speed, options.fps or PUPPET_FPS, over, playlist)
    return open_source(
        SourceOptions(options.source, options.participant, options.speed, options.fps, loop=False, stop=over)
    )


class OneSession:
    """A source whose frames are all of one participant and one session, named after its beginning."""

    def __init__(self, source: Source, participant: str) -> None:
        self._source, self._participant = source, participant
        self._session = ""
        self.name, self.live = source.name, source.live

    @property
    def clock_rate(self) -> float:
        """Of the source."""
        return self._source.clock_rate

    def frames(self) -> Iterator[Frame | None]:
        """The source's frames under the session's name."""
        for frame in self._source.frames():
            if frame is None:
                yield None
                continue
            self._session = self._session or new_session_id(frame.time)
            yield replace(frame, participant=self._participant, session=self._session)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def interview(
    questionnaires: Sequence[Questionnaire], terminal: Terminal, stop: threading.Event
) -> list[QuestionnaireResult]:
    """Go through the questionnaires, unless nobody answers; returns those that were filled."""
    results: list[QuestionnaireResult] = []
    for form in questionnaires:
        if terminal.closed or stop.is_set():
            break
        talk = Interview(form)
        terminal.say(talk.introduction())
        while talk.open:
            line = terminal.wait(stop)
            if line is None:
                terminal.say([f"No answer: {form.title} is left out."])
                break
            terminal.say(talk.answer(line))
        if len(talk.answers) == len(form.items):
            score = form.score(talk.answers)
            results.append(QuestionnaireResult(time.time(), form.name, tuple(talk.answers), score, form.level(score)))
    return results


def make_recorder(
    options: RecordOptions, permit: Permit, source: str, results: list[QuestionnaireResult], terminal: Terminal
) -> Recorder:
    """What takes the frames; its folder is made with the first one."""
    metadata = SessionMetadata(
        session_id="",
        participant=options.participant,
        purpose=options.purpose,
        consent_id=permit.consent_id,
        source=source,
        fps=options.fps,
        tasks=options.tasks,
    )
    return Recorder(options.out, metadata, options.ask, options.every, options.video, results, terminal)


def start_line(options: RecordOptions, source: str) -> str:
    """What everybody in the room should know."""
    who = "the puppet" if options.source == PUPPET else f"participant {options.participant}"
    kept = "features AND VIDEO are kept" if options.video else "features are kept, no picture is"
    span = f" for {options.minutes:g} minutes" if options.minutes else ""
    asked = f"; questions about {' and '.join(task.name for task in options.ask)} every {options.every:g} s"
    return f"RECORDING {who} from {source}{span}: {kept}{asked if options.ask else ''}. Ctrl-C ends it."


def report(
    loop: Loop, recorder: Recorder, source: str, options: RecordOptions, ended_by: SentryError | None
) -> dict[str, Any]:
    """The recording in figures, for `--json`."""
    writer, prompts = recorder.writer, recorder.prompts
    return {
        "folder": str(writer.path) if writer else "",
        "session": writer.metadata.session_id if writer else "",
        "participant": options.participant,
        "source": source,
        "closed": bool(writer and writer.metadata.ended is not None),
        "seconds_stored": writer.seconds if writer else 0,
        "labels": writer.labels if writer else 0,
        "questionnaires": writer.questionnaires if writer else 0,
        "questions": dict(prompts.counts) if prompts else {},
        "video": bool(writer and options.video),
        **loop.figures(),
        "error": str(ended_by or ""),
    }
