"""Recordings of a fake source: every way to end one closes its folder; consent; answers; a disk that fills up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent import consent, record
from edge_agent.consent import ConsentBook
from edge_agent.record import RecordOptions
from edge_agent.record_terminal import Terminal
from edge_agent.record_video import Film
from edge_agent.sources import Frame
from perception.session_folder import SessionFolder, find_sessions
from perception.video import VideoFile
from sentry_proto.errors import ConsentMissing, InputError, MediaError, SentryError, StorageError
from sentry_proto.questionnaires import GAD7, PHQ8
from sentry_proto.tasks import FOCUS, STRESS
from tests.perception.stages import stand_in

BEGIN = 1_800_000_000.0
FPS = 4
PICTURES = np.random.default_rng(0).integers(0, 255, (16, 48, 64, 3), np.uint8)
PIXELS = {".mkv", ".avi", ".mp4", ".jpg", ".png", ".npy"}


class FakeSource:
    """So many seconds of noise, in no time; `after` is called with every frame's number and may raise."""

    name, live, clock_rate = "fake", False, 1.0

    def __init__(self, seconds: float, after: Callable[[int], None] = lambda index: None) -> None:
        self._frames, self._after = int(seconds * FPS), after

    def frames(self) -> Iterator[Frame]:
        for index in range(self._frames):
            yield Frame(PICTURES[index % 16], BEGIN + 0.25 + index / FPS, "somebody", "s1", index)
            self._after(index)

    def close(self) -> None: ...


class Script(Terminal):
    """A participant whose lines lie ready, and who hears what is said."""

    def __init__(self, *lines: str, person: bool = False) -> None:
        super().__init__(None)
        self.waiting, self.said, self.person = list(lines), [], person

    @property
    def closed(self) -> bool:
        return not self.waiting

    def line(self) -> str | None:
        return self.waiting.pop(0) if self.waiting else None

    def wait(self, stop: threading.Event) -> str | None:
        return self.line()

    def say(self, words: list[str]) -> None:
        self.said += words

    said: list[str]


class Lab:
    """A consenting participant before a fake source."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.book = ConsentBook(folder / "consent.json")
        self.book.grant("P07", None, time.time())
        self.stop = threading.Event()
        self.options = RecordOptions("P07", folder, out=folder / "sessions", ask=(STRESS, FOCUS))
        monkeypatch.setattr(record, "Perception", stand_in)
        monkeypatch.setattr(consent, "CHECK_S", 0.0)

    def record(
        self,
        fake: FakeSource,
        terminal: Terminal | None = None,
        **changes: Any,
    ) -> tuple[dict[str, Any], SentryError | None]:
        self._patch.setattr(record, "open_recorded", lambda options, over: fake)
        return record.record(replace(self.options, **changes), self.stop, terminal or Terminal(None))

    def session(self) -> SessionFolder:
        (path,) = find_sessions(self.folder / "sessions")
        return SessionFolder.open(path)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_a_recording_becomes_a_closed_folder_without_a_picture(lab: Lab) -> None:
    report, ended_by = lab.record(FakeSource(20))
    assert ended_by is None
    folder = lab.session()
    assert not folder.interrupted
    assert report["folder"] == str(folder.path)
    assert (report["seconds_stored"], report["seconds"], report["closed"]) == (21, 21, True)
    seconds = folder.seconds()
    assert seconds.start.tolist() == list(range(int(BEGIN), int(BEGIN) + 21))
    assert seconds.coverage[5].max() > 0.9
    data = folder.metadata
    assert (data.participant, data.started, data.ended) == ("P07", BEGIN, BEGIN + 21)
    assert data.consent_id == lab.book.records[0].consent_id
    assert (data.purpose, data.source, data.video) == ("research", "fake", None)
    assert folder.path.parent.name == "P07"
    assert data.session_id == folder.path.name
    assert data.session_id.startswith("20270115-080000-")
    assert not PIXELS & {path.suffix for path in folder.path.iterdir()}


def test_answers_become_labels(lab: Lab) -> None:
    """Two questions every 10 s; the rest of 4.75 s is too short to be asked about."""
    phq8 = ("0", "1", "2", "3", "0", "0", "0", "0")
    terminal = Script(*phq8, "s", "1", "5", "huh", "3", "s", "never asked for")
    report, _ = lab.record(FakeSource(25), terminal, every=10, questionnaires=(PHQ8, GAD7))
    labels = lab.session().labels()
    assert [(label.task, label.value, label.start - BEGIN, label.end - BEGIN) for label in labels] == [
        ("stress", "calm", 0, 10),
        ("focus", "5", 0, 10),
        ("stress", "stressed", 10, 20),
        ("depression", "mild", 0, 26),
    ]
    assert {(label.source, label.rater) for label in labels} == {("self-report", "P07")}
    (result,) = lab.session().questionnaires()
    assert (result.instrument, result.score, result.level) == ("phq8", 6, "mild")
    assert report["questions"] == {"asked": 6, "answered": 3, "skipped": 1, "unanswered": 2}
    assert any("'huh' is no answer" in words for words in terminal.said)
    assert not any("is left out" in words for words in terminal.said)


def test_a_longer_rest_is_asked_about_when_the_recording_is_over(lab: Lab) -> None:
    lab.record(FakeSource(17), Script("1", "1", "2", "2"), every=10)
    stretches = [(label.start - BEGIN, label.end - BEGIN) for label in lab.session().labels()]
    assert stretches == [(0, 10), (0, 10), (10, 18), (10, 18)]


def test_a_person_who_types_early_answers_nothing(lab: Lab) -> None:
    terminal = Script("3", "2", person=True)
    lab.record(FakeSource(25), terminal, every=10)
    assert lab.session().labels() == []
    assert "Nothing is asked right now." in terminal.said


def test_closed_standard_input_is_said_once(lab: Lab) -> None:
    terminal = Script()
    report, _ = lab.record(FakeSource(25), terminal, every=10, questionnaires=(PHQ8,))
    assert terminal.said == ["Standard input is closed: no more questions are asked."]
    assert report["questions"]["asked"] == 0


def test_a_terminal_reads_lines_from_its_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.record_terminal.PIPE_PATIENCE_S", 0.01)
    ours, theirs = os.pipe()
    terminal, stop = Terminal(ours), threading.Event()
    assert terminal.wait(stop) is None
    monkeypatch.setattr("edge_agent.record_terminal.PIPE_PATIENCE_S", 5)
    os.write(theirs, b"one\ntwo\nthr")
    assert terminal.wait(stop) == "one"
    assert terminal.wait(stop) == "two"
    assert not terminal.closed
    os.write(theirs, b"ee")
    os.close(theirs)
    assert terminal.wait(stop) == "three"
    begin = time.monotonic()
    assert terminal.wait(stop) is None
    assert time.monotonic() - begin < 2, "nobody is waited for once the other end is closed"
    assert terminal.closed
    os.close(ours)


# ---- the ends


def breaking_off(index: int) -> None:
    if index == 30:
        raise MediaError("the file breaks off")


def test_minutes_end_a_recording(lab: Lab) -> None:
    report, ended_by = lab.record(FakeSource(3600), minutes=0.2)
    assert ended_by is None
    assert report["seconds_stored"] == 13
    assert not lab.session().interrupted


def test_a_camera_is_freed_before_the_last_answers_are_awaited(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = threading.Event()

    class Camera(FakeSource):
        live = True

        def __init__(self, over: threading.Event) -> None:
            super().__init__(0)
            self._over = over

        def frames(self) -> Iterator[Frame]:
            index = 0
            while not self._over.wait(0.02):
                yield Frame(PICTURES[index % 16], time.time(), "somebody", "s1", index)
                index += 1
            freed.set()

    class Slow(Script):
        def wait(self, stop: threading.Event) -> str | None:
            assert freed.wait(5), "the camera is off while somebody thinks"
            return super().wait(stop)

    monkeypatch.setattr(record, "open_recorded", lambda options, over: Camera(over))
    terminal = Slow("3", "5")
    options = replace(lab.options, minutes=1.2 / 60, every=2)
    _, ended_by = record.record(options, lab.stop, terminal)
    assert ended_by is None
    assert [label.value for label in lab.session().labels()] == ["stressed", "5"]


def test_a_signal_ends_a_recording(lab: Lab) -> None:
    report, ended_by = lab.record(FakeSource(3600, lambda index: lab.stop.set() if index == 40 else None))
    assert ended_by is None
    assert report["seconds_stored"] == 11
    assert not lab.session().interrupted


def test_a_source_that_breaks_off_ends_a_recording(lab: Lab) -> None:
    report, ended_by = lab.record(FakeSource(3600, breaking_off))
    assert isinstance(ended_by, MediaError)
    assert report["error"] == "the file breaks off"
    assert len(lab.session().seconds()) == 8
    assert not lab.session().interrupted


def test_a_withdrawal_ends_a_recording(lab: Lab) -> None:
    def withdraw(index: int) -> None:
        if index == 40:
            lab.book.withdraw("P07", time.time())

    report, ended_by = lab.record(FakeSource(3600, withdraw), Script("1", "2", "1", "2"), every=5)
    assert isinstance(ended_by, ConsentMissing)
    assert not lab.session().interrupted
    assert report["seconds_stored"] == len(lab.session().seconds()) == 9, "what was under way is not stored"


def test_a_full_disk_ends_a_recording_in_one_sentence(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    def fill(index: int) -> None:
        if index == 40:
            monkeypatch.setattr("perception.session_writer.os.fsync", full)

    report, ended_by = lab.record(FakeSource(3600, fill))
    assert isinstance(ended_by, StorageError)
    assert str(ended_by).count("No space left on device") == 1
    assert report["closed"] is False
    assert lab.session().interrupted
    assert len(lab.session().seconds()) == report["seconds_stored"] == 9


def test_stopped_before_the_first_frame_nothing_is_made(lab: Lab) -> None:
    lab.stop.set()
    report, ended_by = lab.record(FakeSource(5))
    assert (report["folder"], report["seconds_stored"], ended_by) == ("", 0, None)
    assert find_sessions(lab.folder / "sessions") == []


# ---- consent


def test_nobody_is_recorded_without_consent(lab: Lab) -> None:
    with pytest.raises(ConsentMissing, match="P08 has no live consent record"):
        lab.record(FakeSource(5), participant="P08")
    assert not (lab.folder / "sessions").exists()


def test_video_needs_a_consent_of_its_own(lab: Lab) -> None:
    with pytest.raises(ConsentMissing, match=r"does not cover video; .* --participant P07 .* --video$"):
        lab.record(FakeSource(5), video=True)
    assert not (lab.folder / "sessions").exists()


def test_a_consent_that_shrinks_ends_a_video(lab: Lab) -> None:
    lab.book.grant("P07", None, time.time(), video=True)

    def shrink(index: int) -> None:
        if index == 20:
            lab.book.grant("P07", None, time.time())

    _, ended_by = lab.record(FakeSource(3600, shrink), video=True)
    assert isinstance(ended_by, ConsentMissing)


def test_the_puppet_needs_no_consent(lab: Lab) -> None:
    lab.record(FakeSource(5), source="puppet", participant="P08")
    assert lab.session().metadata.consent_id == "puppet"


def test_a_participant_who_cannot_name_a_folder_is_refused(lab: Lab) -> None:
    with pytest.raises(InputError, match="without slashes"):
        lab.record(FakeSource(5), participant="../P07")


# ---- video


def test_video_keeps_the_frames_and_their_times(lab: Lab) -> None:
    lab.book.grant("P07", None, time.time(), video=True)
    lab.record(FakeSource(5), video=True)
    folder = lab.session()
    assert folder.video is not None
    assert folder.metadata.video_started == BEGIN + 0.25
    with VideoFile(folder.video) as video:
        frames = list(video)
    assert [t for _, t in frames] == pytest.approx([index / FPS for index in range(5 * FPS)], abs=5e-4)
    assert {image.shape for image, _ in frames} == {(48, 64, 3)}


def test_uneven_times_and_another_picture_size_are_kept(tmp_path: Path) -> None:
    path, times = tmp_path / "video.mkv", [0.0, 0.033, 0.5, 0.4, 2.0]
    smooth = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    film = Film(path, smooth, BEGIN)
    for t in times[:-1]:
        film.add(smooth, BEGIN + t)
    film.add(np.ascontiguousarray(smooth[::2, ::2]), BEGIN + times[-1])
    film.close()
    with VideoFile(path) as video:
        frames = list(video)
    assert [t for _, t in frames] == pytest.approx([0.0, 0.033, 0.5, 0.501, 2.0], abs=1e-9)
    for image, _ in frames:
        assert np.abs(image.astype(int) - smooth).mean() < 4


def test_a_video_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot make the video"):
        Film(tmp_path / "nowhere" / "video.mkv", PICTURES[0], BEGIN)
