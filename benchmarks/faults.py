"""A fleet under mixed faults for an hour, and every promise beside the number that was reached.

    python -m benchmarks.faults [--minutes 60] [--agents 50] [--seed 1] [--keep FOLDER] [--report FILE] [--json]

A real trainer and 25 machines (`fault_machine`: processes with real outboxes, sessions and CURVE links), each link
through a fault proxy of its own. By a seeded plan (`fault_plan`) machines and the trainer are killed with SIGKILL,
stopped, and have their clocks moved; links are cut, reset, slowed and half-open; small disks are filled. Meanwhile
strangers, a revoked key and an enrolled vandal knock. Machines and proxies write down all that happens; in the end
`fault_report` compares it with the trainer's database. Exit code 1 if a limit was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks import fault_report
from benchmarks.fault_plan import TRAINER, Fault, plan
from benchmarks.fault_scene import Scene, TrainerProcess
from benchmarks.fault_visitors import Visitors
from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable, SentryError
from trainer_service import keyring
from trainer_service.fleet_sim import children, usage

LOOK_S = 0.25
OPEN_S, DRAIN_S = 240.0, 90.0


def run(folder: Path, minutes: float, agents: int, seed: int) -> None:
    """Let it all happen; what is known of it then lies in the folder."""
    with ExitStack() as stack:
        scene = Scene(folder, agents, stack)
        faults = plan(seed, 60 * minutes, scene.fleet, scene.cramped)
        _write_run(scene, faults, minutes, agents, seed)
        scene.trainer.start()
        for machine in scene.machines.values():
            machine.start()
            stack.callback(machine.kill)
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(scene, ended))
        watcher.start()
        _wait_until_open(scene)
        visitors = Visitors(scene.home, scene.log)
        _let_happen(scene, faults, 60 * minutes)
        visitors.close()
        _wait_until_drained(scene)
        for machine in scene.machines.values():
            machine.signal(signal.SIGTERM)
        for machine in scene.machines.values():
            machine.wait()
        ended.set()
        watcher.join()
        scene.trainer.kill()
        _keep_outboxes(scene)


def _write_run(scene: Scene, faults: Sequence[Fault], minutes: float, agents: int, seed: int) -> None:
    about = {
        "minutes": minutes, "agents": agents, "seed": seed, "begun": time.time(),
        "machines": [vars(machine) for machine in scene.fleet], "cramped": scene.cramped,
        "faults": [vars(fault) for fault in faults],
    }  # fmt: skip
    (scene.folder / "run.json").write_text(json.dumps(about))


def _let_happen(scene: Scene, faults: Sequence[Fault], seconds: float) -> None:
    begun = time.monotonic()
    scene.log.write("", "begun")
    threads = []
    for fault in faults:
        time.sleep(max(0.0, begun + fault.at - time.monotonic()))
        threads.append(threading.Thread(target=_happen, args=(scene, fault)))
        threads[-1].start()
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    for thread in threads:
        thread.join()
    scene.log.write("", "ended")


def _happen(scene: Scene, fault: Fault) -> None:
    began = time.monotonic()
    heal = scene.begin(fault)
    time.sleep(fault.seconds)
    healing = time.monotonic()
    heal()
    scene.log.write(
        fault.target, "fault", kind=fault.kind, value=fault.value, began=began, healing=healing, healed=time.monotonic()
    )


def _watch(scene: Scene, ended: threading.Event) -> None:
    """What the trainer says of its agents, four times a second, and what it costs."""
    control = ControlClient(keyring.load_control_key(scene.home), timeout_s=2.0)
    while not ended.wait(LOOK_S):
        asked = time.monotonic()
        try:
            agents = control.call("agents")
        except SentryError:
            scene.log.write(TRAINER, "gone", asked=asked)
            continue
        dead = [a["name"] for a in agents if not a["alive"]]
        off = {a["name"]: a["clock_off_s"] for a in agents if abs(a["clock_off_s"] or 0.0) > 60}
        scene.log.write(
            TRAINER, "look", asked=asked, dead=dead, off=off, load=os.getloadavg()[0], **_cost(scene.trainer)
        )
    control.close()


def _cost(trainer: TrainerProcess) -> dict[str, float]:
    assert trainer.process is not None
    try:
        mine = usage(trainer.process.pid)
        worker = sum(usage(child).rss_mb for child in children(trainer.process.pid))
    except (OSError, KeyError):  # it was killed at this moment
        return {}
    return {"rss_mb": round(mine.rss_mb, 1), "worker_mb": round(worker, 1), "cpu_s": mine.cpu_s}


def _wait_until_open(scene: Scene) -> None:
    control = ControlClient(keyring.load_control_key(scene.home), timeout_s=5.0)
    deadline = time.monotonic() + OPEN_S
    while not all(agent["alive"] for agent in control.call("agents")):
        if time.monotonic() > deadline:
            raise RuntimeError("not all agents are there")
        time.sleep(LOOK_S)
    control.close()


def _wait_until_drained(scene: Scene) -> None:
    control = ControlClient(keyring.load_control_key(scene.home), timeout_s=5.0)
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        with suppress(PeerUnreachable):
            agents = [a for a in control.call("agents") if a["name"] in scene.proxies]
            if all(agent["alive"] and not agent["spooled"] for agent in agents):
                break
        time.sleep(LOOK_S)
    control.close()


def _keep_outboxes(scene: Scene) -> None:
    """Copy the final state of the outboxes that lie on disks about to be unmounted."""
    for machine in scene.fleet:
        if machine.small_disk:
            kept = scene.folder / machine.name / machine.agents[0]
            kept.mkdir()
            for file in (scene.folder / machine.name / "disk").glob("outbox.sqlite*"):
                (kept / file.name).write_bytes(file.read_bytes())


def main(argv: Sequence[str] | None = None) -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what was written down; it must not exist")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a report in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        folder.mkdir(parents=True, exist_ok=options.keep is None)
        run(folder, options.minutes, options.agents, options.seed)
        report = fault_report.read(folder)
    if options.report:
        options.report.write_text(report.markdown())
    print(json.dumps(report.json()) if options.json else report.text())
    return 0 if report.kept else 1


if __name__ == "__main__":
    sys.exit(main())
