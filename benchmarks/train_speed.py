"""How long state heads take to train from recorded sessions, and how much memory.

    python -m benchmarks.train_speed [--json]

Writes generated sessions of 10 minutes with stress and focus labelled every minute, lets the windows be cut into their
cache once, and then runs `training.trainers.classifier_trainer` in a process of its own, at 50 and at 200 sessions:
cross-validation of statistics pooling and of learned fusion, the gain of baselines, and the final heads. Limits: 120 s
at 50 sessions, and at 200 sessions no more than 1.5 times the memory of 50.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.training.recorded_study import write_study
from training.datasets.sessions import load_windows
from training.trainers.classifier_trainer import HOP_S

SECONDS_LIMIT = 120.0
MEMORY_RATIO_LIMIT = 1.5
FEW, MANY = 50, 200
MINUTES = 10


def measure(sessions: int) -> tuple[float, float]:
    """Seconds and peak resident memory in MiB of one training run."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_study(root / "sessions", sessions, MINUTES, effect=1.0, focus=True)
        load_windows(root / "sessions", hop_s=HOP_S)
        command = [sys.executable, "-m", "training.trainers.classifier_trainer", "--data", str(root / "sessions")]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, "--out", str(root / "heads.onnx"), "--run", str(root / "run")], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"the trainer ended with {process.returncode}")
        return seconds, usage.ru_maxrss / 1024


def main() -> int:
    """Print the table, or JSON; 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = {sessions: measure(sessions) for sessions in (FEW, MANY)}
    figures: dict[str, float] = {}
    for sessions, (seconds, memory) in measured.items():
        figures |= {f"seconds_{sessions}": round(seconds, 1), f"peak_mib_{sessions}": round(memory)}
    ratios = {
        "seconds_of_limit": measured[FEW][0] / SECONDS_LIMIT,
        "memory_ratio_of_limit": measured[MANY][1] / measured[FEW][1] / MEMORY_RATIO_LIMIT,
    }
    figures |= {name: round(ratio, 2) for name, ratio in ratios.items()}
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:22} {value}" for name, value in figures.items()))
    return int(max(ratios.values()) > 1)


if __name__ == "__main__":
    sys.exit(main())
