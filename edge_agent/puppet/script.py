"""What the puppet acts: invented people, their states over time, and how a state shows in a body.

Everything is a pure function of person and time, so the demo's rater can know the truth without seeing a picture and a
test can repeat a frame. The states show as tendencies with overlapping noise, not as signs: a tense person blinks more,
smiles less, lets the head sink and fidgets; an inattentive one looks and turns away. People differ in shape, tone,
habits and resting face by more than a state moves them, so heads must compare a person with themselves.

Nobody's psychological state is in here. The numbers were chosen so that a good linear head is often, not always, right.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import FOCUS, STRESS

SESSION_S = 240.0
"""Length of one person's turn; every stress state is acted once in it, and two levels of focus."""

RAMP_S = 4.0
"""Time in which one state passes into the next."""

SHORTEST_S = 40.0
"""No stress state lasts for less."""

FULL_CLOSURE_S = 0.3
"""Time from the beginning of a blink to its end; spontaneous blinks take 0.1 to 0.4 s."""


@dataclass(frozen=True)
class Person:
    """An invented participant.

    Attributes:
        name: a pseudonym.
        seed: of everything that is random about them.
        width: horizontal stretch, about 1.
        scale: how near they sit, about 1.
        mirror: whether the picture is mirrored.
        gain: of blue, green and red.
        gamma: of the tone curve.
        mouth: resting height of the mouth corners in eye distances; positive is lower.
        brow: resting height of the brows in eye distances; positive is higher.
        yaw, pitch: resting head posture, -1..1.
        blinks: per minute at rest.
        restless: how much they move at rest, about 1.
        slouch: resting height of the head in eye distances; positive is lower.
    """

    name: str
    seed: int
    width: float
    scale: float
    mirror: bool
    gain: tuple[float, float, float]
    gamma: float
    mouth: float
    brow: float
    yaw: float
    pitch: float
    blinks: float
    restless: float
    slouch: float


def invent(index: int) -> Person:
    """The person with this number; the same number is always the same person."""
    random = np.random.default_rng((20_260_101, index))
    within = random.uniform
    return Person(
        name=f"P{index + 1:02d}",
        seed=int(random.integers(2**31)),
        width=within(0.93, 1.07),
        scale=within(0.96, 1.12),
        mirror=index % 2 == 1,
        gain=(within(0.85, 1.1), within(0.9, 1.05), within(0.85, 1.1)),
        gamma=within(0.8, 1.25),
        mouth=within(0.0, 0.08),
        brow=within(-0.03, 0.05),
        yaw=within(-0.35, 0.35),
        pitch=within(-0.35, 0.35),
        blinks=within(9, 18),
        restless=within(0.7, 1.3),
        slouch=within(-0.1, 0.15),
    )


PEOPLE: tuple[Person, ...] = tuple(invent(index) for index in range(8))


def person_named(name: str) -> Person:
    """Whoever of `PEOPLE` has this name, or somebody else who is always the same."""
    known = {person.name: person for person in PEOPLE}
    return known.get(name) or replace(invent(len(PEOPLE) + zlib.crc32(name.encode())), name=name)


@dataclass(frozen=True)
class Playlist:
    """Who acts when: people in turn, each for `session_s`, for ever; whoever comes again goes on where they stopped."""

    people: tuple[Person, ...] = PEOPLE
    session_s: float = SESSION_S

    def at(self, t: float) -> tuple[Person, int, float]:
        """The person, the session's number and the person's own time, at `t` seconds of the demo's clock."""
        session = int(t // self.session_s)
        turn, index = divmod(session, len(self.people))
        return self.people[index], session, turn * self.session_s + t % self.session_s


# ---- states over time


@dataclass(frozen=True)
class Truth:
    """What is acted at one moment: a class of the stress task and one of the focus task."""

    stress: str
    focus: str


@dataclass(frozen=True)
class _Block:
    begin: float
    stress: int
    focus: int


@lru_cache(maxsize=512)
def _blocks(seed: int, turn: int) -> tuple[_Block, ...]:
    """The blocks of one turn of `SESSION_S`, in order."""
    random = np.random.default_rng((seed, turn))
    spare = random.dirichlet((2.0, 2.0, 2.0)) * (SESSION_S - 3 * SHORTEST_S)
    begins = np.concatenate(([0.0], np.cumsum(SHORTEST_S + spare)[:2]))
    stress = random.permutation(3)
    levels = random.permutation(5)[:2]
    half = SESSION_S / 2
    cuts = sorted({*begins.tolist(), half})
    found = []
    for begin in cuts:
        state = stress[int(np.searchsorted(begins, begin, side="right")) - 1]
        found.append(_Block(float(begin), int(state), int(levels[int(begin >= half)])))
    return tuple(found)


def _block(person: Person, t: float) -> _Block:
    turn, within = divmod(t, SESSION_S)
    blocks = _blocks(person.seed, int(turn))
    return next(block for block in reversed(blocks) if block.begin <= within)


def truth(person: Person, t: float) -> Truth:
    """What a person acts at `t` seconds of their own time."""
    block = _block(person, t)
    return Truth(STRESS.classes[block.stress], FOCUS.classes[block.focus])


def truth_of_window(person: Person, start: float, end: float, share: float = 0.8) -> dict[str, str]:
    """The state of each task that fills at least `share` of a window in a person's own time; others are left out."""
    moments = np.arange(start, end, 0.5) + 0.25
    acted = [truth(person, float(t)) for t in moments]
    found = {}
    for task in ("stress", "focus"):
        values, counts = np.unique([getattr(moment, task) for moment in acted], return_counts=True)
        if counts.max() >= share * len(acted):
            found[task] = str(values[counts.argmax()])
    return found


def intensities(person: Person, t: float) -> tuple[float, float]:
    """Stress and focus in 0..1, with ramps between the states."""
    before, now = _block(person, max(0.0, t - RAMP_S)), _block(person, t)
    if before == now:
        return now.stress / 2, now.focus / 4
    steps = np.linspace(max(0.0, t - RAMP_S), t, 33)
    blocks = [_block(person, float(moment)) for moment in steps]
    return float(np.mean([b.stress for b in blocks])) / 2, float(np.mean([b.focus for b in blocks])) / 4


# ---- states in a body


@dataclass(frozen=True)
class Motion:
    """How the puppet stands at one moment. Lengths are in eye distances, positive is down or to the picture's right."""

    mouth_corners: float
    mouth_press: float
    jaw: float
    brows: float
    frown: float
    lids: float
    gaze_x: float
    gaze_y: float
    yaw: float
    pitch: float
    roll_deg: float
    head_y: float
    shift_x: float
    shift_y: float
    zoom: float
    light: float


def _wave(seed: int, channel: int, t: float, period_s: float) -> float:
    """Smooth noise of about unit variance: three sines near the period, with phases of the seed."""
    stretch, phase = _phases(seed, channel)
    angles = 2 * np.pi * (t / (period_s * stretch) + phase)
    return float(np.sin(angles).sum() * np.sqrt(2 / 3))


@lru_cache(maxsize=1024)
def _phases(seed: int, channel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng((seed, 77, channel))
    return random.uniform(0.6, 1.7, 3), random.uniform(0, 1, 3)


def _closure(person: Person, t: float, stress: float) -> float:
    """How far the lids are closed, 0..1: at most one blink begins in each half second, by chance of the rate."""
    rate = person.blinks * (1 + 2.2 * stress) / 60
    for slot in (int(2 * t), int(2 * t) - 1):
        chance, offset = _chances(person.seed, slot)
        phase = (t - slot / 2 - offset) / FULL_CLOSURE_S
        if chance < rate / 2 and 0 <= phase <= 1:
            return float(min(1.0, 1.6 * np.sin(np.pi * phase)))
    return 0.0


@lru_cache(maxsize=64)
def _chances(seed: int, slot: int) -> tuple[float, float]:
    random = np.random.default_rng((seed, 78, slot + 1))
    return float(random.random()), float(random.uniform(0, 0.2))


def motion(person: Person, t: float) -> Motion:
    """How a person stands at `t` seconds of their own time."""
    stress, focus = intensities(person, t)
    away = 1 - focus
    move = person.restless * (0.5 + 1.2 * stress)

    def wave(channel: int, period_s: float) -> float:
        return _wave(person.seed, channel, t, period_s)

    return Motion(
        mouth_corners=person.mouth + 0.02 + 0.08 * stress + 0.018 * wave(0, 11),
        mouth_press=max(0.0, 0.04 * stress + 0.015 * wave(1, 9)),
        jaw=max(0.0, 0.02 + 0.02 * wave(2, 5) - 0.02 * stress),
        brows=person.brow + 0.02 * wave(3, 8),
        frown=max(0.0, 0.07 * stress + 0.02 * wave(4, 10)),
        lids=_closure(person, t, stress),
        gaze_x=(0.02 + 0.05 * away) * wave(5, 4),
        gaze_y=(0.01 + 0.02 * away) * wave(6, 5),
        yaw=0.5 * person.yaw + (0.15 + 0.55 * away) * wave(7, 7) + 0.15 * move * wave(8, 2.5),
        pitch=0.5 * person.pitch + (0.1 + 0.25 * away) * wave(9, 9) + 0.12 * move * wave(10, 2.8),
        roll_deg=1.6 * move * wave(11, 4) + 2.0 * wave(12, 25),
        head_y=person.slouch + 0.09 * stress + 0.04 * wave(13, 20),
        shift_x=0.10 * move * wave(14, 3.5) + 0.15 * wave(15, 40),
        shift_y=0.05 * move * wave(16, 3.0),
        zoom=1 + 0.012 * move * wave(17, 4) + 0.02 * stress + 0.02 * wave(18, 30),
        light=1 + 0.04 * wave(19, 60),
    )
