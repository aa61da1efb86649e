"""All windows of some sessions, cut once and kept in files: what `training.datasets.sessions` puts labels on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from perception import baseline as baseline_code
from perception import window as window_code
from perception.fusion import HIGH, LOW
from perception.session_features import Seconds
from perception.window import Windower
from sentry_proto.errors import InputError, SentryError
from sentry_proto.layout import LAYOUT_ID, N_MODALITIES, N_SECOND
from training.datasets.exclusions import Exclusions
from training.datasets.second_store import Appender, Column, Store, replacing
from training.feature_space import SECOND_SPACE

TOLERANCE = 1e-4
"""In widths of a feature's range; how far a value may lie outside it."""

COLUMNS = {
    "values": Column((N_SECOND,), "<f4"),
    "coverage": Column((N_MODALITIES,), "<f4"),
    "starts": Column((), "<i8"),
    "ends": Column((), "<i8"),
    "baselines": Column((2, N_SECOND), "<f4"),
}

NOTHING_KNOWN = np.stack([np.zeros(N_SECOND), np.ones(N_SECOND)])
"""Centre and scale where no baseline is wanted."""


@dataclass(frozen=True)
class Cut:
    """How windows are cut: seconds in one, seconds between their ends, and whether with each person's baseline."""

    length_s: int
    hop_s: int
    baseline: bool

    def __str__(self) -> str:
        return f"windows-{self.length_s}-{self.hop_s}-{'baseline' if self.baseline else 'raw'}"


@dataclass(frozen=True)
class Recording:
    """The seconds of one session, and where to read them.

    Attributes:
        participant, session: whose.
        place: for people, as `P07/20261122-204641-a1b2c3`.
        digest: of what `read` reads.
        read: called once; may raise a SentryError.
    """

    participant: str
    session: str
    place: str
    digest: str
    read: Callable[[], Seconds]


@dataclass(frozen=True)
class Span:
    """Where a session lies in a store: its rows of seconds and its windows."""

    session: str
    seconds: slice
    windows: slice


def cut_windows(recordings: Sequence[Recording], cut: Cut, cache: Path) -> Store:
    """The windows of these sessions, in their order, from the cache or into it; `COLUMNS` has the arrays.

    Sessions of a person that follow one another share the baseline.

    Raises:
        InputError: a length or hop that makes no window.
        StorageError: the cache cannot be written.
    """
    folder, key = cache / str(cut), _key(recordings, cut)
    store = Store.open(folder, key)
    if store is not None:
        return store
    with replacing(folder) as fresh:
        _cut_all(recordings, fresh, key, cut)
    store = Store.open(folder, key)
    if store is None:
        raise InputError(f"the cache {folder} was changed by someone else; please start again")
    return store


def spans(store: Store) -> Iterator[Span]:
    """The sessions of a store, in order."""
    entries = store.index["sessions"]
    ends = [*entries[1:], {"seconds": len(store.array("starts")), "windows": len(store.array("ends"))}]
    for entry, end in zip(entries, ends, strict=True):
        seconds, windows = (slice(entry[name], end[name]) for name in ("seconds", "windows"))
        yield Span(entry["session"], seconds, windows)


def blind(seconds: Seconds) -> int:
    """Count a modality as not seen where it is not a number or out of range; returns how often that was so."""
    slack = TOLERANCE * (HIGH - LOW)
    fine = (seconds.values >= LOW - slack) & (seconds.values <= HIGH + slack)
    blinded = 0
    for modality in range(N_MODALITIES):
        own = SECOND_SPACE.feature_modality == modality
        share = seconds.coverage[:, modality]
        wrong = ~((share >= 0) & (share <= 1)) | ((share > 0) & ~fine[:, own].all(1))
        seconds.coverage[wrong, modality] = 0
        seconds.values[np.ix_(seconds.coverage[:, modality] == 0, own)] = 0
        blinded += int(wrong.sum())
    return blinded


def _key(recordings: Sequence[Recording], cut: Cut) -> str:
    """Digest of all that the store depends on: the seconds, their order, and the code that cuts them."""
    modules = (baseline_code, window_code)
    code = [hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest() for module in modules]
    sessions = [(recording.participant, recording.session, recording.digest) for recording in recordings]
    return hashlib.sha256(json.dumps([LAYOUT_ID, code, str(cut), sessions]).encode()).hexdigest()


def _cut_all(recordings: Sequence[Recording], folder: Path, key: str, cut: Cut) -> None:
    out, left_out, entries = Appender(folder, COLUMNS), Exclusions(), []
    for participant, sessions in groupby(recordings, key=lambda recording: recording.participant):
        windower = Windower(participant, "", cut.length_s, cut.hop_s)
        for recording in sessions:
            seconds = _read(recording, left_out)
            if seconds is None:
                continue
            entry = {"session": recording.session, "seconds": out.rows["values"], "windows": out.rows["ends"]}
            entries.append(entry)
            windower.start_session(participant, recording.session)
            early = _cut_session(seconds, windower, out, cut)
            left_out.add("windows: before their person's baseline was ready", recording.place, early)
            if len(seconds) < cut.length_s:
                left_out.add(f"sessions: shorter than a window of {cut.length_s} s", recording.place)
    out.close({"key": key, "sessions": entries, "left_out": left_out.counts})


def _read(recording: Recording, left_out: Exclusions) -> Seconds | None:
    try:
        seconds = recording.read()
    except SentryError as error:
        left_out.add(f"sessions: {error}", recording.place)
        return None
    left_out.add("seconds of a modality: a value is no number or out of range", recording.place, blind(seconds))
    if not len(seconds):
        left_out.add("sessions: without one second", recording.place)
        return None
    return seconds


def _cut_session(seconds: Seconds, windower: Windower, out: Appender, cut: Cut) -> int:
    """Cut one session; returns how many windows came before the person's baseline, which are left out."""
    first, early = out.rows["values"], 0
    out.append(values=seconds.values, coverage=seconds.coverage, starts=seconds.start)
    for end, second in enumerate(seconds, first + 1):
        window = windower.push(second)
        if window is None:
            continue
        if cut.baseline and not window.baseline.seconds:
            early += 1
            continue
        known = np.stack([window.baseline.centre, window.baseline.scale]) if cut.baseline else NOTHING_KNOWN
        out.append(ends=np.array([end]), baselines=known[None])
    return early
