"""docs/operations.md, Install, as it stands: every command in order, on a trainer's machine and a lab machine.

Both are folders: `/opt`, `/etc` and `/var` are moved into them, no user is made, and packages are those of the tests.
What `systemctl` is told to start is started as its unit says.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.consent import ConsentBook
from sentry_proto.control import ControlClient
from sentry_proto.keys import AGENT, CONTROL, KeyFile
from tests.conftest import REPOSITORY
from tests.e2e.study import BIN, eventually, free_port

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

PAGE = (REPOSITORY / "docs" / "operations.md").read_text()
PROGRAMS = ("sentry-keys", "sentry-trainer", "sentry-agent", "sentry-dashboard")
SHIMS = {
    "python3.11": '[ "$1 $2" = "-m venv" ]; mkdir -p "$3"/bin; for p in PROGRAMS; do ln -s BIN/$p "$3"/bin/$p; done\n'
    'printf "#!/bin/sh\\necho pip \\"\\$@\\" >> ROOT/calls\\n" > "$3"/bin/pip; chmod +x "$3"/bin/pip',
    "useradd": 'echo useradd "$@" >> ROOT/calls',
    "sudo": '[ "$1 $2" = "-u sentry" ]; shift 2; exec "$@"',
    "install": 'for a do shift; case $a in -o|sentry) ;; *) set -- "$@" "$a" ;; esac; done; exec /usr/bin/install "$@"',
    "systemctl": 'echo systemctl "$@" >> ROOT/calls; exec PYTHON -m tests.test_operations_page ROOT "$@"',
}
"""What stands in for the machine's own commands; everything else is the real one."""


def section(title: str) -> str:
    """A section of the page."""
    found = re.search(rf"^## {title}\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def blocks() -> list[str]:
    """The commands of the section Install, block by block."""
    found = re.findall(r"(?:^ {4}.*\n)+", section("Install"), re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in found]


@dataclass
class Machine:
    """A folder that plays a machine."""

    root: Path

    def moved(self, text: str) -> str:
        """With the places of the system moved into the folder."""
        return re.sub(r"(?<![\w.])/(opt|etc|var)/", rf"{self.root}/\1/", text)

    def type(self, block: str, typed: str = "") -> None:
        """Give some commands in the project's folder."""
        shims = self.root / "shims"
        for name, body in SHIMS.items():
            filled = body.replace("ROOT", str(self.root)).replace("PYTHON", sys.executable).replace("BIN", str(BIN))
            (shims / name).parent.mkdir(parents=True, exist_ok=True)
            (shims / name).write_text(f"#!/bin/sh\nset -eu\n{filled.replace('PROGRAMS', ' '.join(PROGRAMS))}\n")
            (shims / name).chmod(0o755)
        for place in ("etc/systemd/system", "opt", "var/lib", "var/backups"):
            (self.root / place).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["sh", "-euc", self.moved(block)], cwd=REPOSITORY, input=typed, capture_output=True, text=True, timeout=200,
            env={**os.environ, "PATH": f"{shims}:/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, block + done.stdout + done.stderr

    def unit(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The command of an installed unit, and its environment."""
        text = self.moved((self.root / "etc/systemd/system" / f"{name}.service").read_text())
        pairs = [pair for line in re.findall(r"^Environment=(.*)$", text, re.MULTILINE) for pair in line.split()]
        for path in re.findall(r"^EnvironmentFile=(.*)$", text, re.MULTILINE):
            pairs += Path(path).read_text().split()
        environment = dict(pair.split("=", 1) for pair in pairs)
        (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        words = [re.sub(r"\$\{(\w+)\}", lambda m: environment[m[1]], word) for word in shlex.split(command)]
        return [word.replace("%%", "%") for word in words], environment

    def run_job(self, name: str) -> None:
        """What a timer starts."""
        command, environment = self.unit(name)
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def start(root: Path, names: list[str]) -> None:
    """What the stand-in for `systemctl enable --now` does: start the trainer as its unit says."""
    machine = Machine(root)
    if "sentry-trainer" not in names:
        return
    command, environment = machine.unit("sentry-trainer")
    command[command.index("--metrics") + 1] = "0"  # any free port
    with (root / "trainer.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    (root / "trainer.pid").write_text(str(process.pid))
    key = KeyFile.load(Path(environment["SENTRY_DIR"]) / "control.key", CONTROL)
    client = ControlClient(key, timeout_s=5)
    eventually(lambda: client.call("status"), 60, "the trainer answers")
    client.close()


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Machine]:
    """The trainer's machine; what was started there ends with the test."""
    machine = Machine(tmp_path / "trainer")
    yield machine
    if (pid := machine.root / "trainer.pid").exists():
        os.kill(int(pid.read_text()), 9)


def test_the_installation_works_as_written(trainer: Machine, tmp_path: Path) -> None:
    first, dashboard, key, lab = blocks()
    host = f"--host 127.0.0.1 --port {free_port()}"
    (function,) = (line for line in first.splitlines(keepends=True) if line.startswith("as_sentry()"))
    trainer.type(first.replace("--host trainer.lab.example", host))
    trainer.type(function + dashboard, "five words at random here\n" * 2)
    trainer.type(function + key)
    home = trainer.root / "var/lib/sentry-trainer"

    lab_machine = Machine(tmp_path / "lab")
    carried = lab.replace(" lab-1.key ", f" {home / 'lab-1.key'} ")
    assert carried != lab
    lab_machine.type(carried)

    shown = KeyFile.load(trainer.root / "etc/sentry/dashboard.key", CONTROL)
    client = ControlClient(shown)
    eventually(lambda: [one["name"] for one in client.call("agents")] == ["lab-1"], 20, "the new key is known")
    assert [account["name"] for account in client.call("accounts")] == ["ann"]
    client.close()
    assert not (home / "dashboard.key").exists()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700

    agent = lab_machine.root
    assert KeyFile.load(agent / "etc/sentry/agent.key", AGENT).name == "lab-1"
    command, environment = lab_machine.unit("sentry-agent")
    data = Path(command[command.index("--data-dir") + 1])
    participant = command[command.index("--participant") + 1]
    assert (data, participant) == (agent / "var/lib/sentry-agent", environment["PARTICIPANT"])
    assert ConsentBook(data / "consent.json").live(participant, 1e9 + 1e9) is not None
    assert Path(command[command.index("--key") + 1]) == agent / "etc/sentry/agent.key"

    started = [line.split()[3:] for line in (trainer.root / "calls").read_text().splitlines() if "--now" in line]
    assert started == [["sentry-trainer", "sentry-backup.timer"], ["sentry-dashboard"]]
    trainer.run_job("sentry-backup")
    (backup,) = (trainer.root / "var/backups/sentry").glob("sentry-2*.tar")
    assert backup.stat().st_size > 1000


if __name__ == "__main__":
    start(Path(sys.argv[1]), sys.argv[4:])
