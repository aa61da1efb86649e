"""From what a run of `benchmarks.faults` left behind to figures beside their limits.

    python -m benchmarks.fault_report FOLDER [--json] [--report FILE]      reads a folder that was kept with --keep

"Alone" is a fault during which, and for as long after as is measured, no other fault touched the same agent or the
trainer; recovery times are those of such faults. Times of the trainer's view have the grain of a look, a quarter of a
second; times of agents that of their log, a tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fault_evidence
from benchmarks.fault_evidence import Event, Evidence, Happened
from benchmarks.fault_plan import TRAINER
from benchmarks.fault_visitors import STRANGER
from sentry_proto import limits
from trainer_service.fleet_sim import Figure

KNOWN_S, DRAINED_S, BACK_S, AGENT_BACK_S, HEALS_S, SHOWN_S = 4.0, 60.0, 5.0, 10.0, 30.0, 90.0
SETTLED_S = 15.0
"""After a fault, until acks count as "between faults"."""

AT_ONCE_S = 10.0
"""A link that was reset, and a process that was stopped or started, may take so long before it counts as offline."""

BUSY = 2.0 * (os.cpu_count() or 1)
"""A load above two processes per core says that the machine had other work: processes start late, and so does all."""

Measured = tuple[float, float]
"""A moment, and what took so many seconds from then on."""

APART_S = 5.0
"""Agents that look offline with less than this between them do so for one reason."""

LINK = ("link cut", "link cut for long", "link half-open")
BREAKS = (*LINK, "link reset", "machine killed", "machine stopped", "trainer killed", "trainer stopped")
"""Faults under which an agent is offline in truth."""


@dataclass(frozen=True)
class Report:
    """All figures of a run."""

    about: dict[str, Any]
    figures: list[Figure]

    @property
    def kept(self) -> bool:
        """Whether every limit holds."""
        return all(figure.kept for figure in self.figures)

    def json(self) -> dict[str, Any]:
        """For machines."""
        figures = [{**vars(f), "reached": round(float(f.reached), 3), "kept": f.kept} for f in self.figures]
        return {**self.about, "kept": self.kept, "figures": figures}

    def text(self) -> str:
        """For a terminal."""
        return "\n".join(f"{f.promise:4} {f.name:66} {_reached(f):>16}  {_limit(f)}".rstrip() for f in self.figures)

    def markdown(self) -> str:
        """A table of the run, and one of its faults."""
        about = self.about
        rows = [f"| {f.promise} | {f.name} | {_limit(f) or '-'} | {_reached(f)} |" for f in self.figures]
        kinds = [f"| {kind} | {count} |" for kind, count in sorted(about["faults"].items())]
        head = f"{about['minutes']:g} minutes, {about['agents']} agents, seed {about['seed']}"
        return "\n".join(
            [f"# A run of mixed faults\n\n{head}\n\n| fault | times |\n|---|---:|", *kinds,
             "\n| promise | figure | limit | reached |\n|---|---|---:|---:|", *rows, ""]
        )  # fmt: skip


def _reached(figure: Figure) -> str:
    if np.isnan(figure.reached):
        return "not seen"
    number = f"{figure.reached:,.0f}" if not figure.unit or figure.unit == "%" else f"{figure.reached:,.2f}"
    return f"{number} {figure.unit}".strip()


def _limit(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    return f"{figure.limit:g} {figure.unit}".strip() + (", kept" if figure.kept else ", MISSED")


def read(folder: Path) -> Report:
    """The figures of a run."""
    seen = fault_evidence.read(folder)
    about = {name: seen.about[name] for name in ("minutes", "agents", "seed")}
    about["faults"] = dict(Counter(fault.kind for fault in seen.faults))
    parts: Iterable[Callable[[Evidence], Iterator[Figure]]] = (
        losses, books, comebacks, disks, clocks, partitions, latencies, costs, visits
    )  # fmt: skip
    return Report(about, [figure for part in parts for figure in part(seen)])


# ---- R1, R2: nothing is lost ------------------------------------------------------------------------------------


def losses(seen: Evidence) -> Iterator[Figure]:
    """What was acknowledged against what is stored."""
    events = [event for mine in seen.agents.values() for event in mine]
    acked = {i for event in events if event["e"] == "ack" for i in event["ids"]}
    made = {i for event in events if event["e"] == "make" for i in event["ids"]}
    ours = {i: n for i, n in seen.stored.items() if i in made}
    yield Figure("R1", "records made", len(made), None, "")
    yield Figure("R1", "records acknowledged", len(acked), None, "")
    yield Figure("R1", "acknowledged and not stored", len(acked - ours.keys()), 0.0, "")
    yield Figure("R1", "stored more than once", sum(n - 1 for n in ours.values()), 0.0, "")


def books(seen: Evidence) -> Iterator[Figure]:
    """Each agent's own count, and where each of its records is."""
    lost = unspooled = most_unspooled = dropped = waiting = wrong = 0
    for name, book in seen.books.items():
        made, put = _batches(seen, name)
        here = book.spooled | seen.stored.keys()
        lost += max(0, sum(i not in here for batch in put for i in batch) - book.dropped)
        gone = [batch for batch in made if batch not in put and not here.issuperset(batch)]
        unspooled += sum(map(len, gone))
        most_unspooled = max(most_unspooled, *map(len, gone), 0)
        dropped += book.dropped
        waiting += len(book.spooled)
        told = [e for e in seen.agents[name] if e["e"] == "totals"]
        wrong += sum(e["sent"] != e["acked"] + e["spooled"] + e["dropped"] for e in told)
        wrong += book.sent != book.acked + len(book.spooled) + book.dropped
        sent, least = book.sent, sum(map(len, put))
        wrong += not least <= sent <= sum(map(len, made))
    yield Figure("R2", "spooled, and neither stored, spooled nor counted as dropped", lost, 0.0, "")
    yield Figure("R2", "lost before they were spooled, all kills together", unspooled, None, "")
    yield Figure("R2", "books in which sent = acked + spooled + dropped fails", wrong, 0.0, "")
    yield Figure("R2", "dropped and counted: full disks and full spools", dropped, None, "")
    yield Figure("R6", "still spooled at the end", waiting, 0.0, "")


def _batches(seen: Evidence, name: str) -> tuple[list[tuple[str, ...]], set[tuple[str, ...]]]:
    mine = seen.agents[name]
    made = [tuple(e["ids"]) for e in mine if e["e"] == "make"]
    return made, {tuple(e["ids"]) for e in mine if e["e"] == "put"}


# ---- R1, R2: back after a kill ----------------------------------------------------------------------------------


def comebacks(seen: Evidence) -> Iterator[Figure]:
    """How long until who was killed is back."""
    starts = [event for event in seen.scene if event["a"] == TRAINER and event["e"] == "started"]
    took = [(event["begun"], event["took"]) for event in starts]
    yield from _times(seen, "R1", "trainer: from its start to its first answer", took, BACK_S)
    back = [_opened(seen, agent, fault) for fault in seen.of("trainer killed") for agent in fault.agents]
    yield from _times(seen, "R1", "trainer killed: from its start until an agent's session is open", back, None)
    back = [_opened(seen, agent, fault) for fault in seen.of("machine killed") for agent in fault.agents]
    yield from _times(seen, "R2", "agent killed: from its start until its session is open", back, AGENT_BACK_S)
    lost = sum(e["e"] == "died" for mine in seen.agents.values() for e in mine)
    lost += sum(event["e"] == "killed" and event.get("died_before") not in (None, 0) for event in seen.scene)
    yield Figure("", "processes that ended by themselves", lost, 0.0, "")


def _opened(seen: Evidence, agent: str, fault: Happened) -> Measured | None:
    """How long after the start of what was killed the agent's session was open; None if another fault came between."""
    opened = next((e["t"] for e in seen.after(agent, fault.healing) if e["e"] == "link" and e["open"]), np.inf)
    took = float(opened - fault.healing)
    alone = seen.alone(fault, agent, fault.healing, fault.healed + min(took, DRAINED_S))
    return (fault.healing, took) if alone else None


def _times(
    seen: Evidence, promise: str, name: str, found: Iterable[Measured | None], limit: float | None
) -> Iterator[Figure]:
    """Median and longest of what took so long from a moment on; misses with the machine's load at that moment."""
    measured = [one for one in found if one is not None]
    seconds = [one[1] for one in measured]
    count = len(seconds)
    worst, half = (max(seconds), float(np.median(seconds))) if count else (np.nan, np.nan)
    yield Figure(promise, f"{name}, median of {count}", half, None, "s")
    yield Figure(promise, f"{name}, longest of {count}", worst, limit if count else None, "s")
    if limit is None:
        return
    loads = [seen.load(moment) for moment, took in measured if took > limit]
    if loads:
        calm = [took for moment, took in measured if seen.load(moment) <= BUSY]
        over = f"- over the limit, at a load of {min(loads):.0f} to {max(loads):.0f}"
        yield Figure(promise, over, len(loads), None, "")
        name = f"- longest of {len(calm)} at a load of at most {BUSY:g}"
        yield Figure(promise, name, max(calm, default=np.nan), None, "s")


# ---- R3: disks --------------------------------------------------------------------------------------------------


def disks(seen: Evidence) -> Iterator[Figure]:
    """Full disks: how soon they heal, and whether records and alerts are still made meanwhile."""
    healed, gaps, refused = [], [0.0], 0
    for fault in seen.of("disk full"):
        (agent,) = fault.agents
        troubled = [e for e in seen.after(agent, fault.began) if e["e"] == "trouble"]
        full = [e for e in troubled if e["words"] and e["t"] < fault.healed]
        refused += bool(full)
        if full:
            well = next((e["t"] for e in troubled if not e["words"] and e["t"] > full[-1]["t"]), np.inf)
            healed.append((fault.healed, max(0.0, float(well - fault.healed))))
        made = [e["t"] for e in seen.after(agent, fault.began - 12) if e["e"] == "make" and e["t"] < fault.healed + 12]
        gaps += list(np.diff(made))
    yield Figure("R3", "full disks under which a record was refused", refused, None, "")
    yield from _times(seen, "R3", "full disk: from room until records are spooled again", healed, HEALS_S)
    yield Figure(
        "R3", "longest time between two windows or alerts meanwhile (10 s apart by plan)", max(gaps), None, "s"
    )


# ---- R5: clocks -------------------------------------------------------------------------------------------------


def clocks(seen: Evidence) -> Iterator[Figure]:
    """Clocks that jump: nobody looks offline, it is shown, and the order stays."""
    jumps = seen.of("machine's clock jumps", "trainer's clock jumps")
    false = _false_offline(seen)
    jumped = [one for one in false if any(j.began < one[0] < j.healed and one[1] in j.agents for j in jumps)]
    hours = sum((jump.healed - jump.began) * len(jump.agents) for jump in jumps) / 3600
    rest = seen.about["minutes"] / 60 * seen.about["agents"] - hours
    calm = sum(seen.load(moment) <= BUSY for moment, _ in false)
    yield Figure("R5", "false 'offline' while a clock was off", len(jumped), 0.0, "")
    yield Figure(
        "R5", "- in an agent's hour with a clock that is off", len(jumped) / hours if hours else np.nan, None, ""
    )
    yield Figure("R5", "- in an agent's hour with clocks that are right", (len(false) - len(jumped)) / rest, None, "")
    yield Figure("R5", "false 'offline' of any kind: nothing was broken, and nobody was heard", len(false), 0.0, "")
    moments = sorted(moment for moment, _ in false)
    stalls = sum(two - one > APART_S for one, two in pairwise(moments)) + bool(moments)
    yield Figure("R5", "- moments at which it began, most for many agents at once", stalls, None, "")
    yield Figure("R5", f"- agents at a load of at most {BUSY:g}", calm, None, "")
    shown = [_shown(seen, jump) for jump in jumps]
    yield Figure("R5", "clock jumps", len(shown), None, "")
    yield Figure("R5", "clock jumps that were not shown", shown.count(False), 0.0, "")
    swaps = sum(a > b for order in seen.order.values() for a, b in pairwise(order))
    yield Figure("R5", "records stored out of the order in which they were made", swaps, 0.0, "")


def _shown(seen: Evidence, fault: Happened) -> bool | None:
    """Whether the trainer told by how much the clock is off; None where there was no chance to see it."""
    sign = -1.0 if fault.target == TRAINER else 1.0
    chances = [look for look in seen.looks if fault.began + 4 < look["asked"] < fault.healing and look["e"] == "look"]
    agents = [a for a in fault.agents if seen.alone(fault, a, fault.began, fault.healed)]
    if not chances or not agents:
        return None
    return any(abs(look["off"].get(agent, 0.0) - sign * fault.value) < 60 for look in chances for agent in agents)


def _false_offline(seen: Evidence) -> list[tuple[float, str]]:
    """When the trainer began to call an agent offline to which no fault had happened, and which."""
    found = []
    for agent in seen.books:
        excused = _excused(seen, agent)
        before = False
        for look in seen.looks:
            if look["e"] != "look" or look["asked"] < excused[0][1]:
                continue
            now = agent in look["dead"] and not any(begin <= look["asked"] <= end for begin, end in excused)
            if now and not before:
                found.append((look["asked"], agent))
            before = now
    return found


def _excused(seen: Evidence, agent: str) -> list[tuple[float, float]]:
    """When the agent was truly away: until its session is open again, at most as long as promised."""
    begun = next((event["t"] for event in seen.scene if event["e"] == "begun"), 0.0)
    spans = [(0.0, begun)]
    for fault in seen.of(*BREAKS):
        if agent in fault.agents:
            back = _seen_again(seen, agent, fault.healed)
            most = AT_ONCE_S if fault.kind not in LINK else DRAINED_S
            spans.append((fault.began, min(back, fault.healed + most)))
    ends = [event["t"] for event in seen.scene if event["e"] == "ended"]
    if ends:
        spans.append((ends[-1], np.inf))
    return spans


def _seen_again(seen: Evidence, agent: str, moment: float) -> float:
    """When the trainer called the agent alive after a moment, having had time to call it dead."""
    late = seen.looks[seen.looked(moment + limits.PEER_DEAD_S) :]
    return next((float(look["asked"]) for look in late if look["e"] == "look" and agent not in look["dead"]), np.inf)


# ---- R6, R10: links ---------------------------------------------------------------------------------------------


def partitions(seen: Evidence) -> Iterator[Figure]:
    """Broken links and silent machines: how soon it is known, and how soon all is sent afterwards."""
    cuts = [fault for fault in seen.of(*LINK) if fault.healed - fault.began > KNOWN_S + 1]
    yield from _times(seen, "R6", "broken link: until the agent knows", [_closed(seen, f) for f in cuts], KNOWN_S)
    yield from _times(seen, "R6", "broken link: until the trainer knows", [_dead(seen, f) for f in cuts], KNOWN_S)
    for kind in (*LINK, "link reset", "link slow"):
        drained = [_drained(seen, fault) for fault in seen.of(kind)]
        yield from _times(seen, "R6", f"{kind}: from its end until all is sent", drained, DRAINED_S)
    silent = [f for f in seen.of("machine killed", "machine stopped") if f.healing - f.began > KNOWN_S + 1]
    shown = [_dead(seen, fault) for fault in silent]
    yield from _times(seen, "R10", "silent machine: until the trainer shows it", shown, SHOWN_S)


def _closed(seen: Evidence, fault: Happened) -> Measured | None:
    """How long until the agent had closed its session; None if it was not open, or another fault came between."""
    (agent,) = fault.agents
    last = seen.before(agent, fault.began, "link")
    if not seen.alone(fault, agent, fault.began, fault.healed) or last is None or not last["open"]:
        return None
    closed = next((e["t"] for e in seen.after(agent, fault.began) if e["e"] == "link" and not e["open"]), np.inf)
    return fault.began, float(closed - fault.began)


def _dead(seen: Evidence, fault: Happened) -> Measured | None:
    """How long until the trainer said that the agent is gone; None if it did already, or another fault came between."""
    agent, begin = fault.agents[0], seen.looked(fault.began)
    was_there = begin > 0 and agent not in seen.looks[begin - 1].get("dead", (agent,))
    if not was_there or not seen.alone(fault, agent, fault.began, fault.healed):
        return None
    later = (look["t"] for look in seen.looks[begin:] if agent in look.get("dead", ()))
    return fault.began, float(next(later, np.inf) - fault.began)


def _drained(seen: Evidence, fault: Happened) -> Measured | None:
    """How long after the fault's end the spool was empty; None if another fault came between."""
    (agent,) = fault.agents
    last = seen.before(agent, fault.healed, "totals")
    empty = fault.healed
    if last is None or last["spooled"]:
        told = (e["t"] for e in seen.after(agent, fault.healed) if e["e"] == "totals" and not e["spooled"])
        empty = next(told, np.inf)
    took = float(empty - fault.healed)
    alone = seen.alone(fault, agent, fault.healed, fault.healed + min(took, DRAINED_S))
    return (fault.healed, took) if alone else None


# ---- R7, R8: latency and cost -----------------------------------------------------------------------------------


def latencies(seen: Evidence) -> Iterator[Figure]:
    """From the outbox to the acknowledgement, where nothing is broken."""
    acks = _acks_between_faults(seen)
    stops = seen.of("machine stopped")
    beside = [ms for t, ms in acks if any(fault.began < t < fault.healed for fault in stops)]
    apart = [ms for t, ms in acks if not any(fault.began < t < fault.healed for fault in stops)]
    every = beside + apart
    for share in (50, 95, 99):
        value = float(np.percentile(every, share)) if every else np.nan
        limit = 250.0 if share == 99 else None
        yield Figure("R7", f"ack p{share} between faults, of {len(every)}", value, limit, "ms")
    if beside and apart:
        change = 100 * (np.percentile(beside, 99) / np.percentile(apart, 99) - 1)
        yield Figure(
            "R8", f"ack p99 of others while a machine is stopped ({len(beside)} acks), change", change, 20.0, "%"
        )


def _acks_between_faults(seen: Evidence) -> list[tuple[float, float]]:
    found = []
    for agent, events in seen.agents.items():
        away = [
            (fault.began, fault.healed + SETTLED_S)
            for fault in seen.faults
            if fault.target == TRAINER or agent in fault.agents
        ]
        for event in events:
            if event["e"] == "ack":
                found += [
                    (event["t"], ms)
                    for ms in event["ms"]
                    if ms is not None and not any(b < event["t"] and event["t"] - ms / 1000 < e for b, e in away)
                ]
    return found


def costs(seen: Evidence) -> Iterator[Figure]:
    """What the trainer took."""
    looks = [look for look in seen.looks if "rss_mb" in look]
    rss = np.array([look["rss_mb"] for look in looks])
    peaks = [event["peak_mb"] for event in seen.scene if event["e"] == "killed" and event["a"] == TRAINER]
    yield Figure("R7", "trainer memory, highest", max([*peaks, *rss, 0.0]), 300.0, "MB")
    tenth = max(1, len(rss) // 10)
    first, last = float(np.median(rss[:tenth])), float(np.median(rss[-tenth:]))
    yield Figure("R7", "trainer memory, last tenth against the first", last - first, None, "MB")
    cpu = _cpu_share(looks)
    yield Figure("R7", "trainer CPU", cpu, 50.0, "% of a core")
    yield Figure("", "learner's process, highest", max(look["worker_mb"] for look in looks), None, "MB")
    loads = [look["load"] for look in looks if "load" in look]
    if loads:
        name = f"the machine's load on {os.cpu_count()} cores, median (highest {max(loads):.0f})"
        yield Figure("", name, float(np.median(loads)), None, "")


def _cpu_share(looks: Sequence[Event]) -> float:
    """In per cent of a core, over all of its lives."""
    used = waited = 0.0
    for one, two in pairwise(looks):
        if two["cpu_s"] >= one["cpu_s"] and two["t"] - one["t"] < 2:
            used += two["cpu_s"] - one["cpu_s"]
            waited += two["t"] - one["t"]
    return 100 * used / waited if waited else float("nan")


# ---- S1, S2: who may not ----------------------------------------------------------------------------------------


def visits(seen: Evidence) -> Iterator[Figure]:
    """Strangers, revoked keys and a vandal."""
    calls = [event for event in seen.scene if event["e"] == "visit"]
    for who, promise in (("stranger", "S2"), ("revoked", "S2"), ("vandal", "S1")):
        mine = [event for event in calls if event["a"] == who]
        accepted = sum(event["accepted"] for event in mine)
        yield Figure(promise, f"{who}: accepted of {len(mine)} visits", accepted, 0.0, "")
    yield Figure("S2", "records of strangers and revoked keys in the store", len(seen.order.get(STRANGER, [])), 0.0, "")
    guests = [event for event in seen.scene if event["e"] == "revoked" and event["welcome"]]
    last = [(event["t"], event["last_ack_after"] or 0.0) for event in guests]
    yield from _times(seen, "S2", "revoked in the middle: until the last ack", last, 5.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Print; 1 if a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    report = read(options.folder)
    if options.report:
        options.report.write_text(report.markdown())
    print(json.dumps(report.json()) if options.json else report.text())
    return 0 if report.kept else 1


if __name__ == "__main__":
    sys.exit(main())
