"""How long from the last needed label to the new head being live in a running agent.

    python -m benchmarks.push_latency [--windows 1000] [--rounds 20] [--json]

Starts a real trainer and a real agent (the puppet as its source, on one machine), puts 1,000 labelled windows of ten
invented people into the store, and gives the labels that trigger a run, one round after another. A round ends when the
trainer has heard the new version from the agent. The limit it is measured against is 3 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from sentry_proto.types import Window
from tests.e2e.study import Study, eventually
from tests.e2e.wire_agent import WireAgent, windows_of_states

LIMIT_S = 3.0
LABELS_PER_RUN = 5


def label(study: Study, window: Window, state: str) -> None:
    """Store one label, as the dashboard does."""
    params = {"task": "stress", "value": state, "source": "import", "rater": "benchmark"}
    study.control.call("label", label_id=uuid.uuid4().hex, window_id=window.window_id, **params)


def seed_store(study: Study, n_windows: int, n_more: int) -> list[tuple[Window, str]]:
    """Send the windows and label `n_windows` of them by import; returns those that are left for the rounds."""
    per_person = -(-(n_windows + n_more) // 10)
    pairs = list(windows_of_states(10, per_person))
    order = np.random.default_rng(1).permutation(len(pairs))
    wire = WireAgent(study.enroll("seed"))
    wire.send([window for window, _ in pairs])
    wire.close()
    rows = ["window_id,task,value,rater"]
    rows += [f"{pairs[i][0].window_id},stress,{pairs[i][1]},benchmark" for i in order[:n_windows]]
    study.control.call("import_labels", text="\n".join(rows) + "\n")
    return [pairs[i] for i in order[n_windows : n_windows + n_more]]


def measure(study: Study, rounds: int, n_windows: int) -> tuple[list[float], int]:
    """Seconds per published round, and how many rounds the gate refused."""
    study.start_trainer("--labels-per-run", LABELS_PER_RUN)
    left = seed_store(study, n_windows, rounds * LABELS_PER_RUN)
    eventually(lambda: study.status()["model_version"], 60, "a first version from the imported labels")
    study.start_agent("lab-1", study.enroll("lab-1"), "puppet", "--fps", 10)
    eventually(lambda: (study.agent("lab-1") or {}).get("model_version"), 60, "the agent runs the first version")
    seconds, refused = [], 0
    for first in range(0, len(left), LABELS_PER_RUN):
        version = study.status()["model_version"]
        for window, state in left[first : first + LABELS_PER_RUN]:
            label(study, window, state)
        given = time.monotonic()
        decisions = study.control.call("decisions", limit=1)[0]["row"]
        decided = eventually(lambda: _new_decision(study, decisions), 30, "a decision")  # noqa: B023
        if decided["verdict"] != "published":
            refused += 1
            continue
        eventually(lambda: study.agent("lab-1")["model_version"] > version, 30, "the agent runs it")  # noqa: B023
        seconds.append(time.monotonic() - given)
        time.sleep(0.5)
    return seconds, refused


def _new_decision(study: Study, after_row: int) -> dict[str, object] | None:
    newest: dict[str, object] = study.control.call("decisions", limit=1)[0]
    row = newest["row"]
    return newest if isinstance(row, int) and row > after_row else None


def main() -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder))
        try:
            seconds, refused = measure(study, arguments.rounds, arguments.windows)
        finally:
            study.close()
    figures = {
        "labelled_windows": arguments.windows,
        "published": len(seconds),
        "refused": refused,
        "median_s": round(statistics.median(seconds), 2),
        "p95_s": round(float(np.percentile(seconds, 95)), 2),
        "worst_s": round(max(seconds), 2),
        "median_of_limit": round(statistics.median(seconds) / LIMIT_S, 2),
        "p95_of_limit": round(float(np.percentile(seconds, 95)) / LIMIT_S, 2),
    }
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:18} {value}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
