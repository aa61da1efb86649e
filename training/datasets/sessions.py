"""Recorded sessions as labelled windows, cut by the same code as on the agent.

    people      in the order of their names; a person's sessions in the order of `started`, of equals by name. They
                share one causal baseline, as if the agent had run through: a later session begins with what was
                learned from the earlier ones. The first windows of a person, which no head scores, are left out and
                counted.
    seconds     of the session's features file; of its video where it has none. A modality with a value that is not a
                number or outside the layout's range counts as not seen in that second.
    labels      by the rules of `training.datasets.session_labels`
    blocks      a label of the reserved task `block` names the condition that holds, in the lab's own words; where there
                is none, all of the session is one block
    scales      the score of each questionnaire that was filled in a session, under its name, for all of that session

The windows of all sessions are kept in a cache beside them (`<root>/.cache`, readable by its owner only) and mapped
into memory. It is made anew when a session, or the code that cuts windows, has changed; so it holds nothing of sessions
that were deleted once the others are loaded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perception.session_features import Seconds
from perception.session_folder import SessionFolder, find_sessions
from perception.session_rows import SessionLabel
from perception.window import HOP_S, LENGTH_S
from sentry_proto.errors import InputError, SentryError
from sentry_proto.tasks import DEFAULT_TASKS, Task
from training.datasets.exclusions import Exclusions
from training.datasets.extraction import extract_all
from training.datasets.feature_cache import CACHE, Video, read_features
from training.datasets.second_store import Store
from training.datasets.session_labels import Allowed, Times, label_seconds, label_windows, sift
from training.datasets.session_windows import Cut, Recording, Span, cut_windows, spans
from training.feature_space import SECOND_SPACE
from training.windows import WindowSet

BLOCK = "block"
"""Reserved task name: its labels say which condition of the session holds."""


def load_windows(
    root: Path,
    tasks: Sequence[Task] = DEFAULT_TASKS,
    hop_s: int = HOP_S,
    length_s: int = LENGTH_S,
    baseline: bool = True,
    *,
    cache: Path | None = None,
    engine: str = "local",
    workers: int | None = None,
    progress: bool = False,
) -> tuple[WindowSet, Exclusions]:
    """The windows of all sessions below a folder, labelled or not.

    Args:
        root: as `custom_sessions`, holding `<participant>/<session>/`.
        tasks: whose labels are wanted.
        hop_s: seconds between the ends of windows.
        length_s: seconds in a window.
        baseline: centre and scale of each person as known before each window; otherwise centre 0 and scale 1
            everywhere, and the windows before a person's baseline are kept.
        cache: where to keep what was cut (`<root>/.cache` if None) and extracted (beside each video if None). No two
            roots may share one.
        engine: for videos, as of `training.datasets.extraction.extract_all`.
        workers: for videos, as of `extract_all`.
        progress: whether to show a bar while videos are worked on.

    Returns:
        The windows, in the order of people, sessions and time, and what was left out.

    Raises:
        InputError: there are no sessions, or none of them gives a window; says what was left out.
        StorageError: the cache cannot be written.
    """
    exclusions = Exclusions()
    folders = open_sessions(root, exclusions)
    recordings = _recordings(folders, cache, exclusions, engine=engine, workers=workers, progress=progress)
    store = cut_windows(recordings, Cut(length_s, hop_s, baseline), cache or root / CACHE)
    exclusions.update(Exclusions(store.index["left_out"]))
    if not len(store.array("ends")):
        raise InputError("\n".join([f"no session below {root} gives a window of {length_s} s", *exclusions.lines()]))
    by_session = {folder.metadata.session_id: folder for folder in folders}
    sessions = [_label(by_session[span.session], span, store, tasks, length_s, exclusions) for span in spans(store)]
    return _join(sessions, store, tasks, length_s), exclusions


def open_sessions(root: Path, exclusions: Exclusions) -> list[SessionFolder]:
    """All sessions below a folder, by person and time; those that cannot be opened are counted.

    Raises:
        InputError: there is none.
    """
    found: dict[str, SessionFolder] = {}
    for path in find_sessions(root):
        try:
            folder = SessionFolder.open(path)
        except SentryError as error:
            exclusions.add(f"sessions: {error}", place(path))
            continue
        if found.setdefault(folder.metadata.session_id, folder) is not folder:
            exclusions.add("sessions: their id is that of an earlier one", place(path))
    if not found:
        raise InputError("\n".join([f"there is no session that can be read below {root}", *exclusions.lines()]))
    return sorted(found.values(), key=lambda f: (f.metadata.participant, f.metadata.started, f.metadata.session_id))


def place(path: Path) -> str:
    """How a session folder is named to people: `P07/20261122-204641-a1b2c3`."""
    return f"{path.parent.name}/{path.name}"


def usable_labels(
    folder: SessionFolder, tasks: Sequence[Task], starts: Times, exclusions: Exclusions
) -> list[SessionLabel]:
    """The labels of a session that say something about one of its seconds; all others are counted.

    Args:
        folder: of the session.
        tasks: whose labels are wanted, beside those of blocks.
        starts: int64 [S], the session's seconds.
        exclusions: counts the others.
    """
    problems: list[str] = []
    try:
        labels = folder.labels(problems)
    except SentryError as error:
        labels, problems = [], [str(error)]
    usable, unusable = sift(labels, tasks, starts, {BLOCK})
    for problem in (*problems, *unusable):
        exclusions.add(f"labels: {problem}", place(folder.path))
    return usable


def _recordings(
    folders: Sequence[SessionFolder], cache: Path | None, exclusions: Exclusions, **engine: Any
) -> list[Recording]:
    """The sessions with seconds, of their own or of their video; the others are counted."""
    filmed = {f.path: video_of(f, cache=cache) for f in folders if f.features is None and f.video}
    done = dict(zip(filmed, extract_all(list(filmed.values()), **engine), strict=True))
    recordings = []
    for folder in folders:
        extraction = done.get(folder.path)
        if extraction and extraction.trouble:
            kind = "ends of sessions" if extraction.features else "sessions"
            exclusions.add(f"{kind}: {extraction.trouble}", place(folder.path))
        if folder.features:
            digest = hashlib.sha256(folder.features.read_bytes()).hexdigest()
            recordings.append(_recording(folder, digest, folder.seconds))
        elif extraction and extraction.features:
            start = extraction.video.start
            read = partial(read_features, extraction.features, start)
            recordings.append(_recording(folder, f"{extraction.features.stem} at {start}", read))
        elif extraction is None:
            exclusions.add("sessions: they have neither features nor a video", place(folder.path))
    return recordings


def video_of(folder: SessionFolder, fps: float | None = None, cache: Path | None = None) -> Video:
    """The video of a session that has one, at the session's own frame rate if none is given."""
    if folder.video is None:
        raise InputError(f"{folder.path} has no video")
    metadata = folder.metadata
    start = metadata.started if metadata.video_started is None else metadata.video_started
    return Video(folder.video, fps or metadata.fps, start, cache)


def _recording(folder: SessionFolder, digest: str, read: Callable[[], Seconds]) -> Recording:
    return Recording(folder.metadata.participant, folder.metadata.session_id, place(folder.path), digest, read)


@dataclass(frozen=True)
class _Labelled:
    """The n windows of one session and what is said about them."""

    participant: str
    session: str
    elapsed: Times
    blocks: list[str]
    allowed: dict[str, Allowed]
    scores: dict[str, float]


def _label(
    folder: SessionFolder, span: Span, store: Store, tasks: Sequence[Task], length: int, exclusions: Exclusions
) -> _Labelled:
    starts, ends = store.array("starts")[span.seconds], store.array("ends")[span.windows] - span.seconds.start
    labels = usable_labels(folder, tasks, starts, exclusions)
    allowed = {}
    for task in tasks:
        allowed[task.name], unclear = label_windows(label_seconds(labels, task, starts), ends, length)
        reason = f"labels of windows: {task.name} at the end of the window holds for less than half of it"
        exclusions.add(reason, place(folder.path), unclear)
    return _Labelled(
        participant=folder.metadata.participant,
        session=span.session,
        elapsed=starts[ends - length] - starts[0],
        blocks=_blocks(labels, span.session, starts, ends, length),
        allowed=allowed,
        scores=_scores(folder, exclusions),
    )


def _blocks(labels: Sequence[SessionLabel], session: str, starts: Times, ends: Times, length: int) -> list[str]:
    """The block of each window, as `<session>/<condition>`."""
    conditions = sorted({label.value for label in labels if label.task == BLOCK})
    task = Task(BLOCK, "multiclass", ("", *conditions))
    allowed, _ = label_windows(label_seconds(labels, task, starts), ends, length)
    clear = allowed.sum(1) == 1
    return [
        f"{session}/{task.classes[which]}" if known else session
        for which, known in zip(allowed.argmax(1), clear & (len(task.classes) > 1), strict=True)
    ]


def _scores(folder: SessionFolder, exclusions: Exclusions) -> dict[str, float]:
    """The score of each questionnaire; of one that was filled twice, the last."""
    problems: list[str] = []
    try:
        results = folder.questionnaires(problems)
    except SentryError as error:
        results, problems = [], [str(error)]
    for problem in problems:
        exclusions.add(f"questionnaires: {problem}", place(folder.path))
    ordered = sorted(results, key=lambda result: result.created)
    return {result.instrument: float(result.score) for result in ordered}


def _join(sessions: Sequence[_Labelled], store: Store, tasks: Sequence[Task], length: int) -> WindowSet:
    counts = [len(session.elapsed) for session in sessions]
    instruments = sorted({name for session in sessions for name in session.scores})
    return WindowSet(
        space=SECOND_SPACE,
        values=store.array("values"),
        coverage=store.array("coverage"),
        ends=np.array(store.array("ends")),
        length=length,
        baselines=store.array("baselines"),
        people=np.repeat([session.participant for session in sessions], counts),
        sessions=np.repeat([session.session for session in sessions], counts),
        blocks=np.array([block for session in sessions for block in session.blocks]),
        elapsed=np.concatenate([session.elapsed for session in sessions]).astype(np.float64),
        allowed={task.name: np.concatenate([session.allowed[task.name] for session in sessions]) for task in tasks},
        scales={
            name: np.repeat([session.scores.get(name, np.nan) for session in sessions], counts) for name in instruments
        },
    )
