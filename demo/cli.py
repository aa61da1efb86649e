"""`sentry-demo`: the whole loop on this machine, with an acted puppet or, after consent, a camera.

keys -> trainer -> agent -> dashboard      child processes, one log each
             ^---- labeller                a thread that plays the rater, for the puppet only
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from demo.consent import PARTICIPANT, ask_consent
from demo.family import Family
from demo.labeller import Pace, rate_on
from demo.study import Study, free_ports, run_module
from demo.timeline import watch
from demo.truth import truth_of
from sentry_proto.control import ControlClient
from sentry_proto.errors import EnvironmentFault, PeerUnreachable, SentryError
from sentry_proto.keys import CONTROL, KeyFile
from sentry_proto.layout import N_SECOND
from sentry_proto.software import SOFTWARE

PUPPET = "puppet"
TRAINER_PORT = 7810
START_S = 90.0
"""A slow machine may take this long to start a child."""

SPEED, FPS = 15.0, 2.0
AUDIT, BUDGET = 0.5, 600.0
LABELS_PER_RUN = 40
PACE = Pace(before=1.5, after=1.5)
"""Chosen so that two slow cores keep up, and so that the story takes less than three minutes."""

ACTED = "A puppet acts what you will see: it is a picture moved by a script. No psychological state is measured."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="sentry-demo", description="The whole loop on this machine, in one browser page."
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {SOFTWARE}")
    made.add_argument("--source", default=PUPPET, help="puppet (default), a camera's number, or a recording")
    made.add_argument("--dir", type=Path, help="keep the study in this folder (default: a temporary one)")
    made.add_argument("--port", type=int, default=8501, help="of the page; the next free one is taken (8501)")
    made.add_argument("--speed", type=float, default=SPEED, help="puppet seconds per second (%(default)s)")
    made.add_argument("--fps", type=float, default=FPS, help="puppet frames per puppet second (%(default)s)")
    made.add_argument("--headless-seconds", type=float, metavar="N", help="run N seconds without a page, then report")
    made.add_argument("--json", action="store_true", help="with --headless-seconds: report as one JSON object")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the demo until Ctrl-C."""
    chosen = parser().parse_args(arguments)
    try:
        with _folder(chosen.dir) as folder:
            _run(chosen, Study(folder, free_ports(3, TRAINER_PORT), free_ports(1, chosen.port)))
    except SentryError as error:
        print(f"sentry-demo: {error}", file=sys.stderr)
        return error.exit_code
    return 0


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="sentry-demo-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def _run(chosen: argparse.Namespace, study: Study) -> None:
    acted = chosen.source == PUPPET
    if acted:
        print(ACTED, file=sys.stderr)
    else:
        _consent(study, chosen)
    stop = _stop_on_signal()
    study.prepare()
    key = KeyFile.load(study.control_key, CONTROL)
    with Family(study.folder / "logs") as family, contextlib.closing(ControlClient(key, timeout_s=2.0)) as client:
        family.start("trainer", study.trainer(["--labels-per-run", str(LABELS_PER_RUN)]))
        _await(lambda: _answers(client), "trainer", family, stop)
        family.start("agent", study.agent(chosen.source, _agent_options(chosen, acted)), {"OMP_NUM_THREADS": "1"})
        with _rater(client, stop) if acted else contextlib.nullcontext():
            if chosen.headless_seconds:
                timeline = watch(client, stop, chosen.headless_seconds, family.check)
                print(json.dumps(timeline.as_json(), indent=None if chosen.json else 1), flush=True)
            else:
                _show(study, acted, family, stop)


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _agent_options(chosen: argparse.Namespace, acted: bool) -> list[str]:
    if not acted:
        return ["--participant", PARTICIPANT]
    values = {"--speed": chosen.speed, "--fps": chosen.fps, "--audit": AUDIT, "--budget": BUDGET}
    return ["--stills", *(text for name, value in values.items() for text in (name, f"{value:g}"))]


@contextlib.contextmanager
def _rater(client: ControlClient, stop: threading.Event) -> Iterator[None]:
    """Plays the rater for as long as the body runs."""
    thread = threading.Thread(target=rate_on, args=(client, truth_of, stop, PACE), name="rater")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show(study: Study, acted: bool, family: Family, stop: threading.Event) -> None:
    family.start("dashboard", study.dashboard(["--acted"] if acted else []))
    _await(lambda: _serves(study.url), "dashboard", family, stop)
    if stop.is_set():
        return
    print(f"Open {study.url} (Ctrl-C ends the demo and all it started)", flush=True)
    while not stop.wait(0.5):
        family.check()


def _consent(study: Study, chosen: argparse.Namespace) -> None:
    """Ask the person, and record the consent with the agent, where it can be withdrawn."""
    source = f"camera {chosen.source}" if chosen.source.isdigit() else chosen.source
    fate = "It stays until you delete it." if chosen.dir else "It is deleted when the demo ends."
    places = {"folder": study.folder, "agent_folder": study.agent_dir}
    ask_consent({"source": source, "features": N_SECOND, "fate": fate, **places}, input)
    grant = ["consent", "grant", "--participant", PARTICIPANT, "--data-dir", str(study.agent_dir)]
    run_module("edge_agent.cli", *grant)


def _answers(client: ControlClient) -> bool:
    try:
        client.call("status")
    except PeerUnreachable:
        return False
    return True


def _serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _await(ready: Callable[[], bool], name: str, family: Family, stop: threading.Event) -> None:
    """Wait until a child is ready.

    Raises:
        EnvironmentFault: if it dies, or takes too long.
    """
    deadline = time.monotonic() + START_S
    while not stop.is_set() and not ready():
        family.check()
        if time.monotonic() > deadline:
            raise EnvironmentFault(f"the {name} was not ready in {START_S:.0f} s. It said:\n{family.last_words(name)}")
        stop.wait(0.2)
