"""What goes wrong, where and when: a seeded plan for `benchmarks.faults`, without clock or process."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

DAY_S = 86_400.0
JUMPS_S = (-730 * DAY_S, 2 * DAY_S, 3_600.0, -3_600.0)
TRAINER = "trainer"

BLOCK_S, CALM_S = 600.0, 100.0
"""Each block ends with a calm, in which whatever is measured is the system's own."""

EVERY_S = 4.5
"""From one fault to the next, on average."""

REST_S = 30.0
"""A machine is left alone for so long after each of its faults, so that its recovery can be told."""

LONG_S = 600.0
"""One cut and one half-open link last so long, in a run that has room for them."""

WEIGHTS = {
    "machine killed": 24, "machine stopped": 8, "machine's clock jumps": 16, "disk full": 6,
    "link cut": 12, "link cut for long": 3, "link half-open": 12, "link reset": 20, "link slow": 10,
    "trainer killed": 6, "trainer's clock jumps": 3, "trainer stopped": 1,
}  # fmt: skip
SECONDS = {
    "machine killed": (0.0, 12.0), "machine stopped": (6.0, 20.0), "machine's clock jumps": (10.0, 30.0),
    "disk full": (15.0, 40.0), "link cut": (5.0, 40.0), "link cut for long": (180.0, 240.0),
    "link half-open": (5.0, 40.0), "link reset": (0.0, 0.0), "link slow": (10.0, 40.0),
    "trainer killed": (0.0, 4.0), "trainer's clock jumps": (10.0, 40.0), "trainer stopped": (2.0, 6.0),
}  # fmt: skip
"""How long each lasts, at least and at most."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: as in `WEIGHTS`.
        at: seconds from the start of the run.
        seconds: until it is put right.
        target: a machine, an agent behind a link, or the trainer.
        value: seconds of a clock's jump or of a link's latency.
    """

    kind: str
    at: float
    seconds: float
    target: str
    value: float = 0.0


@dataclass(frozen=True)
class Machine:
    """One process with agents in it.

    Attributes:
        agents: their names.
        small_disk: whether their folders lie on a file system that can be filled.
    """

    name: str
    agents: tuple[str, ...]
    small_disk: bool = False


def machines(agents: int, small_disks: int) -> list[Machine]:
    """Two fifths of the agents alone, the first of them on small disks, the rest in groups of six."""
    names = [f"lab-{number:02d}" for number in range(agents)]
    alone = max(small_disks, round(0.4 * agents))
    groups = [tuple(names[alone:][first : first + 6]) for first in range(0, agents - alone, 6)]
    singles = [Machine(f"machine-{n:02d}", (name,), n < small_disks) for n, name in enumerate(names[:alone])]
    return singles + [Machine(f"machine-{alone + n:02d}", group) for n, group in enumerate(groups)]


def plan(seed: int, seconds: float, fleet: Sequence[Machine], cramped: Sequence[str]) -> list[Fault]:
    """The faults of a run, by time.

    Args:
        seed: of the draw.
        seconds: of the run.
        fleet: the machines.
        cramped: agents with so small a spool that a long cut fills it.
    """
    draw = random.Random(seed)
    free_at = {name: 0.0 for machine in fleet for name in machine.agents} | {TRAINER: 0.0}
    found = list(_long_ones(seconds, fleet))
    for fault in found:
        free_at[fault.target] = seconds
    at = 0.0
    while (at := at + draw.expovariate(1 / EVERY_S)) < seconds:
        kind = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        lasts = draw.uniform(*SECONDS[kind])
        if _calm(at, lasts, seconds):
            continue
        targets = {t: held for t, held in _targets(kind, fleet, cramped).items() if all(free_at[h] <= at for h in held)}
        if not targets:
            continue
        target = draw.choice(sorted(targets))
        value = draw.choice(JUMPS_S) if "clock" in kind else draw.uniform(0.1, 0.6) if kind == "link slow" else 0.0
        found.append(Fault(kind, at, lasts, target, value))
        free_at |= dict.fromkeys(targets[target], at + lasts + REST_S)
    return sorted(found, key=lambda fault: fault.at)


def _calm(at: float, lasts: float, seconds: float) -> bool:
    """Whether a fault would reach into the calm at the end of its block or of the run."""
    block = min(BLOCK_S, seconds)
    calm = min(CALM_S, block / 6)
    return at % block + min(lasts, block / 2) > block - calm or at + lasts > seconds - calm


def _targets(kind: str, fleet: Sequence[Machine], cramped: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """What a fault may hit: its name, and the agents that it concerns."""
    if kind.startswith("trainer"):
        return {TRAINER: (TRAINER,)}
    if kind == "disk full":
        return {machine.name: machine.agents for machine in fleet if machine.small_disk}
    if kind.startswith("machine"):
        return {machine.name: machine.agents for machine in fleet}
    if kind == "link cut for long":
        return {name: (name,) for name in cramped}
    return {name: (name,) for machine in fleet for name in machine.agents}


def _long_ones(seconds: float, fleet: Sequence[Machine]) -> Iterator[Fault]:
    roomy = [machine.agents[0] for machine in fleet if not machine.small_disk and len(machine.agents) == 1]
    if seconds >= 4 * LONG_S:
        yield Fault("link cut", 2 * LONG_S, LONG_S, roomy[-1])
        yield Fault("link half-open", 2 * LONG_S, LONG_S, roomy[-2])
