"""The trainer, the machines and the links of `benchmarks.faults`, and how each of them is made to fail."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import shifted_clock
from benchmarks.fault_machine import Log
from benchmarks.fault_plan import TRAINER, Fault, Machine, machines
from edge_agent.outbox import DEFAULT_QUOTA
from sentry_proto.control import ControlClient
from sentry_proto.errors import PeerUnreachable
from sentry_proto.keys import AGENT
from tests.faults.proxy import FaultProxy
from trainer_service import keyring
from trainer_service.fleet_sim import three_free_ports, usage
from trainer_service.keyring import Home

SMALL_DISKS, SMALL_DISK_MB = 4, 4
CRAMPED_EVERY, CRAMPED_QUOTA = 5, 256 << 10
"""Every fifth agent has a spool for two and a half minutes only."""


class TrainerProcess:
    """The trainer under test, which comes back after every kill."""

    def __init__(self, home: Home, clock: Path, log: Log) -> None:
        self._home, self._clock, self._log = home, clock, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        begun = time.monotonic()
        self._launch()
        control = ControlClient(keyring.load_control_key(self._home), timeout_s=1.0)
        while True:
            with suppress(PeerUnreachable):
                control.call("status")
                break
            if self.process is not None and self.process.poll() is not None:
                self._log.write(TRAINER, "failed to start", code=self.process.returncode)
                self._launch()
        control.close()
        self._log.write(TRAINER, "started", begun=begun, took=time.monotonic() - begun)

    def _launch(self) -> None:
        command = [sys.executable, "-m", "benchmarks.shifted_clock", str(self._clock)]
        command += ["trainer_service.cli", "serve", "--dir", str(self._home.folder)]
        with (self._home.folder / "trainer.log").open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        peak = usage(self.process.pid).peak_mb
        self.process.kill()
        self.process.wait()
        self._log.write(TRAINER, "killed", peak_mb=peak)


class MachineProcess:
    """One machine, its clock and its disk."""

    def __init__(self, machine: Machine, folder: Path, config: Mapping[str, Any], log: Log) -> None:
        self.machine, self._folder, self._log = machine, folder, log
        self.clock, self._config = folder / "clock", folder / "config.json"
        shifted_clock.write(self.clock, 0.0)
        self._config.write_text(json.dumps(config))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Switch it on."""
        command = [sys.executable, "-m", "benchmarks.shifted_clock", str(self.clock)]
        command += ["benchmarks.fault_machine", str(self._config)]
        with (self._folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(command, stderr=errors)
        self._log.write(self.machine.name, "started")

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        early = self._process.poll()
        self._process.kill()
        self._process.wait()
        self._log.write(self.machine.name, "killed", died_before=early)

    def wait(self) -> None:
        """Until it has ended; in 30 seconds it must."""
        assert self._process is not None
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def fill(self) -> None:
        """Let others fill the disk."""
        with (self._folder / "disk" / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Make room again."""
        (self._folder / "disk" / "filler").unlink()


class Scene:
    """All processes and links of a run."""

    def __init__(self, folder: Path, agents: int, stack: ExitStack) -> None:
        self.folder, self.log = folder, Log(folder / "scene.jsonl")
        self.home = keyring.init(folder / "trainer", "127.0.0.1", three_free_ports(), datetime.now(UTC))
        self.clock = folder / "trainer.clock"
        shifted_clock.write(self.clock, 0.0)
        small = _small_disks(folder, min(SMALL_DISKS, max(1, agents // 8)), stack)
        self.fleet = machines(agents, len(small))
        self.cramped = [name for machine in self.fleet for name in machine.agents if not machine.small_disk]
        self.cramped = self.cramped[::CRAMPED_EVERY]
        self.proxies: dict[str, FaultProxy] = {}
        self.machines = {m.name: self._machine(m, stack) for m in self.fleet}
        self.trainer = TrainerProcess(self.home, self.clock, self.log)
        stack.callback(self.trainer.end)

    def _machine(self, machine: Machine, stack: ExitStack) -> MachineProcess:
        folder = self.folder / machine.name
        folder.mkdir(exist_ok=True)
        config = {
            "log": str(folder / "log.jsonl"),
            "agents": [self._agent(name, machine, stack) for name in machine.agents],
        }
        return MachineProcess(machine, folder, config, self.log)

    def _agent(self, name: str, machine: Machine, stack: ExitStack) -> dict[str, Any]:
        key = keyring.enroll(self.home, name, self.home.folder / f"{name}.key", AGENT, datetime.now(UTC))
        proxy = self.proxies[name] = FaultProxy(int(key.endpoints.ingest.rpartition(":")[2]))
        stack.callback(proxy.close)
        ends = dataclasses.replace(key.endpoints, ingest=f"tcp://127.0.0.1:{proxy.port}")
        path = self.folder / machine.name / f"{name}.key"
        dataclasses.replace(key, endpoints=ends).save(path)
        folder = self.folder / machine.name / ("disk" if machine.small_disk else name)
        quota = CRAMPED_QUOTA if name in self.cramped else DEFAULT_QUOTA
        return {"name": name, "key": str(path), "folder": str(folder), "quota": quota}

    # ---- faults -------------------------------------------------------------------------------------------------

    def begin(self, fault: Fault) -> Callable[[], object]:
        """Let it happen; what is returned puts it right."""
        if fault.target == TRAINER:
            return self._trainer_fault(fault)
        if fault.target in self.machines:
            return self._machine_fault(self.machines[fault.target], fault)
        proxy = self.proxies[fault.target]
        if fault.kind == "link slow":
            proxy.delay(fault.value)
        else:
            {"link reset": proxy.reset, "link half-open": proxy.half_open}.get(fault.kind, proxy.cut)()
        return proxy.heal

    def _trainer_fault(self, fault: Fault) -> Callable[[], object]:
        trainer = self.trainer
        if fault.kind == "trainer killed":
            trainer.kill()
            return trainer.start
        if fault.kind == "trainer stopped":
            trainer.signal(signal.SIGSTOP)
            return lambda: trainer.signal(signal.SIGCONT)
        shifted_clock.write(self.clock, fault.value)
        return lambda: shifted_clock.write(self.clock, 0.0)

    def _machine_fault(self, machine: MachineProcess, fault: Fault) -> Callable[[], object]:
        if fault.kind == "machine killed":
            machine.kill()
            return machine.start
        if fault.kind == "machine stopped":
            machine.signal(signal.SIGSTOP)
            return lambda: machine.signal(signal.SIGCONT)
        if fault.kind == "disk full":
            machine.fill()
            return machine.free
        shifted_clock.write(machine.clock, fault.value)
        return lambda: shifted_clock.write(machine.clock, 0.0)


def _small_disks(folder: Path, count: int, stack: ExitStack) -> list[Path]:
    """File systems of a few MB for the first machines; fewer, or none, where they cannot be mounted."""
    mounted: list[Path] = []
    for number in range(count):
        path = folder / f"machine-{number:02d}" / "disk"
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MB}m", "tmpfs", str(path)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            break
        stack.callback(subprocess.run, ["umount", "-l", str(path)], check=False)
        mounted.append(path)
    return mounted
