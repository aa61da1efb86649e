"""`sentry-agent`: run on a source, record a session, extract a recording's features, keep consent records."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TypeVar

from edge_agent.policy import load_policy
from edge_agent.webrtc.cli import add_webrtc
from sentry_proto.errors import EnvironmentFault, InputError, MissingDependency, SentryError
from sentry_proto.json_log import JsonFormatter
from sentry_proto.pipes import unread
from sentry_proto.purposes import PURPOSES
from sentry_proto.software import SOFTWARE

Choice = TypeVar("Choice")

log = logging.getLogger(__name__)

SYSTEM_LIBRARIES = "libgl1 libegl1 libgles2 libglib2.0-0"
"""Debian packages that cv2 and MediaPipe load and a slim system lacks."""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; returns the exit code."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="sentry-agent: %(message)s", stream=sys.stderr, force=True)
    if options.log_format == "json":
        logging.getLogger().handlers[0].setFormatter(JsonFormatter())
    try:
        status = int(options.command(options))
        sys.stdout.flush()
    except SentryError as error:
        log.error("%s", error)  # noqa: TRY400 - a sentence for a person, not a traceback
        return error.exit_code
    except BrokenPipeError:
        return unread()
    return status


def default_data_dir() -> Path:
    """Where an agent keeps its data by the XDG convention."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "sentry" / "agent"


# ---- commands -----------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    policy = load_policy()
    pictures = options.preview_picture
    policy.check(preview=options.preview is not None or pictures, video=pictures, stills=options.stills)
    require_libraries()
    from edge_agent.app import run  # noqa: PLC0415 - after the check for system libraries
    from edge_agent.state import RunOptions  # noqa: PLC0415
    from sentry_proto.metrics import address  # noqa: PLC0415
    from sentry_proto.tasks import DEFAULT_TASKS, load_tasks  # noqa: PLC0415

    stop = stop_on_signal()
    report, ended_by = run(
        RunOptions(
            source=options.source,
            data_dir=options.data_dir,
            participant=options.participant,
            key=options.key,
            speed=options.speed,
            fps=options.fps,
            tasks=load_tasks(options.tasks) if options.tasks else DEFAULT_TASKS,
            audit=options.audit,
            budget=options.budget,
            quota=options.quota << 20,
            duration=options.duration,
            loop=options.loop,
            every_frame=options.every_frame,
            provider=options.provider,
            wait_for_camera=options.wait_for_camera,
            metrics=address(options.metrics) if options.metrics else None,
            preview=options.preview,
            preview_picture=options.preview_picture,
            stills=options.stills,
            purpose=policy.purpose_of(options.purpose),
        ),
        stop,
    )
    if options.json:
        print(json.dumps(report), flush=True)
    else:
        log.info("%s", _summary(report))
    if ended_by is not None:
        raise ended_by
    return 0


def _summary(report: dict[str, object]) -> str:
    return (
        "{frames_scored} frames at {fps} a second, {face_seconds} of {seconds} s with a face, "
        "{windows} windows, {alerts} alerts, {sent} records spooled, {acked} stored by the trainer".format(**report)
    )


def _record(options: argparse.Namespace) -> int:
    policy = load_policy()
    policy.check(video=options.video)
    require_libraries()
    from edge_agent.record import RecordOptions, record  # noqa: PLC0415 - after the check for system libraries
    from edge_agent.record_terminal import Terminal, standard_input  # noqa: PLC0415
    from sentry_proto.questionnaires import QUESTIONNAIRES  # noqa: PLC0415
    from sentry_proto.tasks import DEFAULT_TASKS, load_tasks  # noqa: PLC0415

    tasks = load_tasks(options.tasks) if options.tasks else DEFAULT_TASKS
    wanted = RecordOptions(
        participant=options.participant,
        data_dir=options.data_dir,
        source=options.source,
        out=options.out,
        minutes=options.minutes,
        video=options.video,
        every=options.every,
        ask=_chosen("--ask", options.ask, {task.name: task for task in tasks}),
        questionnaires=_chosen("--questionnaires", options.questionnaires, QUESTIONNAIRES),
        tasks=tasks,
        speed=options.speed,
        fps=options.fps,
        purpose=policy.purpose_of(options.purpose, PURPOSES[0]),
    )
    stop = stop_on_signal()
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # a recording in the background goes on, and nobody answers
    questions = wanted.ask or wanted.questionnaires
    report, ended_by = record(wanted, stop, Terminal(standard_input() if questions else None))
    if options.json:
        print(json.dumps(report), flush=True)
    else:
        print(_recorded(report), file=sys.stderr)
    if ended_by is not None:
        raise ended_by
    return 0


def _recorded(report: dict[str, object]) -> str:
    if not report["folder"]:
        return "sentry-agent: nothing was recorded"
    state = "" if report["closed"] else "; it was not closed, but is whole up to there"
    return (
        "sentry-agent: {seconds_stored} s, {face_seconds} of them with a face, labels: {labels}, questionnaires: "
        "{questionnaires}; in {folder}".format(**report)
        + state
    )


def _chosen(option: str, text: str, known: Mapping[str, Choice]) -> tuple[Choice, ...]:
    """What a list of names, or `none`, stands for."""
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise InputError(f"{option} takes none, or some of {', '.join(known)}; not {name!r}")
    return tuple(known[name] for name in dict.fromkeys(names))


def _extract(options: argparse.Namespace) -> int:
    purpose = load_policy().purpose_of(options.purpose)
    require_libraries()
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from perception.extract import extract  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(options.video.name, total=None)
        summary = extract(
            options.video,
            options.out,
            lambda done, total: progress.update(task, completed=done, total=total or None),
            purpose=purpose,
        )
    if options.json:
        print(summary.to_json(), flush=True)
    else:
        print(f"sentry-agent: {summary.seconds} s in {options.out}, {summary.fps:.1f} frames a second", file=sys.stderr)
    if summary.error:
        from sentry_proto.errors import MediaError  # noqa: PLC0415

        raise MediaError(summary.error)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    require_libraries()
    from edge_agent.doctor import Patient, examine  # noqa: PLC0415 - after the check for system libraries

    findings = []
    for finding in examine(Patient(options.source, options.provider, options.key)):
        findings.append(finding)
        if not options.json:
            print(f"{'ok ' if finding.well else 'BAD'} {finding.topic + ':':10} {finding.words}", flush=True)
    if options.json:
        print(json.dumps([vars(finding) for finding in findings]))
    return 0 if all(finding.well for finding in findings) else EnvironmentFault.exit_code


def _grant(options: argparse.Namespace) -> int:
    from edge_agent.consent import ConsentBook, describe, end_of_day  # noqa: PLC0415
    from edge_agent.folder import make_folder  # noqa: PLC0415

    make_folder(options.data_dir)
    now = time.time()
    until = end_of_day(options.until) if options.until else None
    book = ConsentBook(options.data_dir / "consent.json")
    print(describe(book.grant(options.participant, until, now, video=options.video, stills=options.stills), now))
    return 0


def _withdraw(options: argparse.Namespace) -> int:
    from edge_agent.consent import ConsentBook  # noqa: PLC0415
    from edge_agent.shelf import empty  # noqa: PLC0415

    book = ConsentBook(options.data_dir / "consent.json")
    if not book.withdraw(options.participant, time.time()):
        raise InputError(f"{options.participant} has no live consent record here")
    empty(options.data_dir, book.withdrawn_ids())
    print(
        f"{options.participant}: withdrawn; a running recording stops within a second, and what it spooled is dropped"
    )
    return 0


def _list(options: argparse.Namespace) -> int:
    from edge_agent.consent import ConsentBook, describe  # noqa: PLC0415

    for record in ConsentBook(options.data_dir / "consent.json").records:
        print(describe(record, time.time()))
    return 0


# ---- checks and signals ---------------------------------------------------------------------------------------


def require_libraries() -> None:
    """Find out at once, and in words, if a library is missing.

    Raises:
        MissingDependency: the `edge` extra or a system library is not installed.
    """
    for name in ("cv2", "mediapipe", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingDependency(
                f"{name} cannot be loaded ({error}); install the extra sentry-lab[edge], and on Debian or Ubuntu run: "
                f"apt-get install {SYSTEM_LIBRARIES}"
            ) from error


def stop_on_signal() -> threading.Event:
    """An event that the first signal to end sets; the second ends at once."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


# ---- arguments ------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentry-agent", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {SOFTWARE}")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="json: one object an event")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="watch a source, score windows, send what is selected"))
    _add_record(commands.add_parser("record", help="record a session for training, with the participant's answers"))
    remote = commands.add_parser("webrtc", help="serve a page by which participants at other machines take part")
    add_webrtc(remote, default_data_dir(), _positive)
    _add_doctor(commands.add_parser("doctor", help="look whether everything is here that the agent needs"))
    extract = commands.add_parser("extract", help="write a recording's features as Parquet")
    extract.add_argument("video", type=Path)
    extract.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
    _add_purpose(extract, "")
    extract.add_argument("--json", action="store_true", help="print a summary as JSON")
    extract.set_defaults(command=_extract)
    consent = commands.add_parser("consent", help="keep consent records").add_subparsers(required=True)
    grant = consent.add_parser("grant", help="record that a participant agreed")
    grant.add_argument("--until", metavar="YYYY-MM-DD", help="last day on which it holds")
    grant.add_argument("--video", action="store_true", help="the participant agreed to video, too")
    grant.add_argument("--stills", action="store_true", help="and to small pictures without the face for raters")
    withdraw = consent.add_parser("withdraw", help="end a participant's consent")
    for command, function in ((grant, _grant), (withdraw, _withdraw)):
        command.add_argument("--participant", required=True)
        command.set_defaults(command=function)
    listing = consent.add_parser("list", help="show all records")
    listing.set_defaults(command=_list)
    for command in (grant, withdraw, listing):
        _add_data_dir(command)
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    add = run.add_argument
    add("--source", required=True, help="a camera's number or device, a stream's address, a recording, or: puppet")
    add("--participant", default="P01", help="pseudonym of who is seen (default: P01)")
    add("--key", type=Path, help="this machine's key file; without one nothing is sent")
    add("--speed", type=_speed, default=1.0, metavar="max|N", help="of a recording or the puppet (default: 1)")
    add("--fps", type=_positive, help="most frames a second")
    add("--tasks", type=Path, help="task file (TOML); default: stress, focus, anxiety, depression")
    add("--audit", type=float, default=0.05, help="share of the windows sent at random (default: 0.05)")
    add("--budget", type=float, default=30.0, help="most uncertain windows sent in an hour (default: 30)")
    add("--quota", type=_megabytes, default=256, help="most MB of records waiting for the trainer (default: 256)")
    add("--duration", type=_positive, help="seconds of the source after which to end")
    add("--loop", action="store_true", help="begin a recording anew at its end")
    add("--wait-for-camera", action="store_true", help="begin without it, and take it when it comes: for services")
    add("--preview", type=int, metavar="PORT", help="show points, estimates and alerts in a browser on this machine")
    add("--preview-picture", action="store_true", help="the camera's picture, too; needs a consent with --video")
    add(
        "--stills", action="store_true", help="send small pictures without the face, too; needs a consent with --stills"
    )
    add("--metrics", metavar="[HOST:]PORT", help="offer figures to Prometheus there; on this machine without HOST")
    _add_provider(run)
    _add_purpose(run, "")
    add("--every-frame", action="store_true", help="let every model look at every frame, whatever it costs")
    add("--json", action="store_true", help="print a report as JSON at the end")
    _add_data_dir(run)
    run.set_defaults(command=_run)


def _add_doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("--source", default="0", help="as of run (default: 0); nothing of it is kept")
    doctor.add_argument("--key", type=Path, help="this machine's key file; without one the trainer is not asked")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    _add_provider(doctor)
    doctor.set_defaults(command=_doctor)


def _add_provider(command: argparse.ArgumentParser) -> None:
    names = "auto, cpu, cuda, openvino, coreml or directml"
    command.add_argument("--provider", default="auto", help=f"what runs the expression model: {names} (default: auto)")


def _add_purpose(command: argparse.ArgumentParser, otherwise: str) -> None:
    default = f"this machine's policy, else {otherwise or 'none'}"
    command.add_argument("--purpose", choices=PURPOSES, help=f"what it is for (default: {default})")


def _add_record(record: argparse.ArgumentParser) -> None:
    add = record.add_argument
    add("--participant", required=True, help="pseudonym of who is recorded")
    add("--minutes", type=_positive, help="of the source after which to end; default: until Ctrl-C")
    add("--source", default="0", help="as of run (default: 0)")
    add("--out", type=Path, default=Path("custom_sessions"), help="folder of all sessions (default: %(default)s)")
    add("--video", action="store_true", help="keep the pictures, too; needs a consent with --video")
    add("--every", type=_positive, default=60.0, help="seconds between two prompts (default: 60)")
    add("--ask", default="stress,focus", metavar="TASK,...|none", help="what to ask about (default: %(default)s)")
    add("--questionnaires", default="phq8,gad7", metavar="NAME,...|none", help="to fill first (default: %(default)s)")
    add("--tasks", type=Path, help="task file (TOML); default: stress, focus, anxiety, depression")
    add("--speed", type=_speed, default=1.0, metavar="max|N", help="of a recording or the puppet (default: 1)")
    add("--fps", type=_positive, help="most frames a second")
    _add_purpose(record, PURPOSES[0])
    add("--json", action="store_true", help="print a report as JSON at the end")
    _add_data_dir(record)
    record.set_defaults(command=_record)


def _add_data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", type=Path, default=default_data_dir(), help="default: %(default)s")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def _speed(text: str) -> float | None:
    return None if text == "max" else _positive(text)


def _megabytes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
