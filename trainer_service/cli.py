"""`sentry-trainer`: run the trainer, or ask a running one."""

from __future__ import annotations

import argparse
import json
import logging
import math
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sentry_proto.control import ControlClient
from sentry_proto.durable import write_durable
from sentry_proto.errors import InputError, SentryError
from sentry_proto.json_log import JsonFormatter
from sentry_proto.keys import CONTROL, Endpoints, KeyFile
from sentry_proto.metrics import address
from sentry_proto.pipes import unread
from sentry_proto.software import SOFTWARE
from sentry_proto.tasks import DEFAULT_TASKS, load_tasks
from trainer_service import account_cli, ingest_only, keyring, report_export, upkeep
from trainer_service.app import Settings, serve
from trainer_service.canary import DEFAULT_SECONDS
from trainer_service.keyring import Home
from trainer_service.policy import DEFAULT_PER_RUN
from trainer_service.queue_export import Wanted, fetch, live_consents, write
from trainer_service.study import Study, load_study
from training.active_learning.labelling_files import FORMATS

Json = dict[str, Any]
DASHBOARD = "http://127.0.0.1:8501"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "serve":
            _serve(arguments)
        elif arguments.command == "ingest":
            _ingest(arguments)
        elif arguments.command in upkeep.COMMANDS:
            upkeep.run(arguments)
        elif arguments.command == "fleet-sim":
            return _fleet_sim(arguments)
        else:
            _ask(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return unread()
    except SentryError as error:
        print(f"sentry-trainer: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentry-trainer", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {SOFTWARE}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, default=keyring.default_home(), help="the trainer's folder (%(default)s)")
    client = argparse.ArgumentParser(add_help=False, parents=[common])
    client.add_argument("--key", type=Path, help="a control key file (DIR/control.key)")
    client.add_argument("--json", action="store_true", help="print the result as JSON")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("serve", parents=[common], help="run the trainer")
    run.add_argument("--tasks", type=Path, help="a task file (TOML); without one, the four default tasks")
    run.add_argument("--study", type=Path, help="a study file (TOML): retention, when forms are due, what is shown")
    run.add_argument("--labels-per-run", type=int, default=DEFAULT_PER_RUN, help="new labels that start a run (10)")
    run.add_argument(
        "--retrain-every", type=float, metavar="HOURS", help="after so long one label that came or went starts a run"
    )
    upkeep.add_database(run)
    run.add_argument("--metrics", metavar="[HOST:]PORT", help="offer figures to Prometheus there; here without HOST")
    run.add_argument(
        "--canary-seconds", type=float, default=DEFAULT_SECONDS, metavar="S",
        help="how long one agent runs a new version before the others get it; 0: all at once (%(default)g)",
    )  # fmt: skip
    ingest = commands.add_parser("ingest", parents=[common], help="take in records beside a trainer, on PostgreSQL")
    ingest.add_argument(
        "--listen", required=True, metavar="[HOST:]PORT", help="for agents; on this machine without HOST"
    )
    ingest.add_argument("--tasks", type=Path, help="the trainer's task file")
    upkeep.add_database(ingest)
    for service in (run, ingest):
        service.add_argument("--log-format", choices=("text", "json"), default="text", help="json: one object an event")
    upkeep.add_commands(commands, common)
    _add_fleet_sim(commands)
    for name, words in _LISTS.items():
        commands.add_parser(name, parents=[client], help=words)
    labels = commands.add_parser("labels", help="labels from a file")
    importing = labels.add_subparsers(dest="action", required=True).add_parser("import", parents=[client])
    importing.add_argument("file", type=Path, help="CSV or JSON Lines (window_id, task, value, rater), or Label Studio")
    importing.add_argument("--rater", default="", help="whose the answers are that do not say")
    _add_queue(commands, client)
    _add_reports(commands, client)
    _add_thresholds(commands, client)
    account_cli.add_commands(commands, client)
    commands.add_parser("retrain", parents=[client], help="learn now")
    rollback = commands.add_parser("rollback", parents=[client], help="publish an older version's heads again")
    rollback.add_argument("version", type=int, nargs="?", help="(the parent of the current one)")
    return parser


def _add_fleet_sim(commands: Any) -> None:
    sim = commands.add_parser("fleet-sim", help="load a trainer of its own with simulated agents, and measure it")
    sim.add_argument("--agents", type=int, default=1000, help="how many (%(default)s)")
    sim.add_argument("--seconds", type=float, default=600.0, help="of steady load (%(default)s)")
    sim.add_argument("--stopped", type=int, default=0, help="so many of them stop now and then (%(default)s)")
    sim.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_reports(commands: Any, client: argparse.ArgumentParser) -> None:
    reports = commands.add_parser("reports", help="what participants say of themselves")
    actions = reports.add_subparsers(dest="action", required=True)
    exporting = actions.add_parser("export", parents=[client], help="all answers as CSV")
    exporting.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    exporting.add_argument("--participant", help="(everybody)")
    link = actions.add_parser("link", parents=[client], help="the link by which one participant answers")
    link.add_argument("participant", help="a pseudonym; a link that this person has already ends")
    link.add_argument("--revoke", action="store_true", help="end the link, and make none")
    link.add_argument(
        "--dashboard", default=DASHBOARD, metavar="URL", help="under which the participant reaches it (%(default)s)"
    )


def _add_queue(commands: Any, client: argparse.ArgumentParser) -> None:
    queue = commands.add_parser("queue", help="windows that wait for a label")
    export = queue.add_subparsers(dest="action", required=True).add_parser("export", parents=[client])
    export.add_argument("--task", required=True, help="to be asked about")
    export.add_argument("--format", choices=FORMATS, default="csv", help="of the file (%(default)s)")
    export.add_argument("--out", type=Path, required=True, help="the file to write")
    export.add_argument("--count", type=int, default=50, help="at most so many windows (%(default)s)")
    export.add_argument("--rater", default="", help="skip what this rater has labelled (skip what anybody has)")
    export.add_argument("--without", action="append", default=[], metavar="PARTICIPANT", help="nothing of this person")
    export.add_argument(
        "--consents", type=Path, action="append", metavar="FILE", help="an agent's consent.json: only under these"
    )


def _add_thresholds(commands: Any, client: argparse.ArgumentParser) -> None:
    thresholds = commands.add_parser("thresholds", help="from which probability on a task alerts")
    actions = thresholds.add_subparsers(dest="action", required=True)
    advise = actions.add_parser("advise", parents=[client], help="the threshold that fulfils a wish")
    apply = actions.add_parser("apply", parents=[client], help="publish the live heads with another threshold")
    for action in (advise, apply):
        action.add_argument("--task", required=True, help="whose alerts")
    wish = advise.add_mutually_exclusive_group(required=True)
    wish.add_argument("--most-false-alarms-per-hour", type=float, metavar="N", help="no more than so many on average")
    wish.add_argument("--most-misses", type=float, metavar="PERCENT", help="no more of the windows with the event")
    apply.add_argument("--threshold", type=float, required=True, help="above 0 and at most 1")


_LISTS = {
    "status": "the trainer at a glance",
    "agents": "the agents and how they are",
    "decisions": "what the learner decided",
    "models": "the published models",
}


def _fleet_sim(arguments: argparse.Namespace) -> int:
    """Simulate; 1 if a limit was missed."""
    from trainer_service import fleet_sim  # noqa: PLC0415 - no other command needs it

    plan = fleet_sim.Plan(arguments.agents, arguments.seconds, arguments.stopped)
    figures = fleet_sim.simulate(plan)
    report = fleet_sim.to_json(plan, figures)
    print(json.dumps(report, indent=1) if arguments.json else fleet_sim.to_text(plan, figures), flush=True)
    return 0 if report["kept"] else 1


def _raise_open_files() -> None:
    """Every agent has three connections, and 1,024 open files are soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _serve(arguments: argparse.Namespace) -> None:
    if arguments.labels_per_run < 1:
        raise InputError(f"--labels-per-run must be 1 or more, not {arguments.labels_per_run}")
    every = arguments.retrain_every
    if every is not None and not 0 < every < math.inf:
        raise InputError(f"--retrain-every must be more than 0 hours, not {every}")
    if not 0 <= arguments.canary_seconds < math.inf:
        raise InputError(f"--canary-seconds must be 0 or more, not {arguments.canary_seconds}")
    ended = _begin(arguments.log_format)
    metrics = address(arguments.metrics) if arguments.metrics else None
    settings = Settings.of(arguments.dir, arguments.tasks, arguments.labels_per_run, every)
    study = load_study(arguments.study) if arguments.study else Study()
    settings = replace(
        settings, database=arguments.database, canary_s=arguments.canary_seconds, metrics=metrics, study=study
    )
    serve(settings, ended, partial(_announce, study.purpose))


def _ingest(arguments: argparse.Namespace) -> None:
    if arguments.database is None:
        raise InputError("a second process needs the trainer's PostgreSQL: --database postgresql://...")
    tasks = load_tasks(arguments.tasks) if arguments.tasks else DEFAULT_TASKS
    settings = ingest_only.Settings(Home(arguments.dir), arguments.database, address(arguments.listen), tasks)
    ended = _begin(arguments.log_format)
    ingest_only.serve(settings, ended, lambda where: print(f"ready: agents at {where}", flush=True))


def _begin(log_format: str) -> threading.Event:
    """Set up the log and the limits of a service; what is returned is set when it is asked to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    if log_format == "json":
        logging.getLogger().handlers[0].setFormatter(JsonFormatter())
    _raise_open_files()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _announce(purpose: str, ends: Endpoints) -> None:
    declared = f"; declared purpose: {purpose}" if purpose else ""
    print(f"ready: agents at {ends.ingest}, updates at {ends.updates}, control at {ends.control}{declared}", flush=True)


def _ask(arguments: argparse.Namespace) -> None:
    key = KeyFile.load(arguments.key, CONTROL) if arguments.key else keyring.load_control_key(Home(arguments.dir))
    client = ControlClient(key)
    try:
        result = _answer(arguments, client)
    finally:
        client.close()
    print(json.dumps(result, indent=1) if arguments.json else _PLAIN[arguments.command](result))


def _answer(arguments: argparse.Namespace, client: ControlClient) -> Any:
    """Call the method of the control API that a command stands for."""
    if arguments.command == "labels":
        return client.call("import_labels", text=_read(arguments.file), rater=arguments.rater)
    if arguments.command == "accounts":
        return account_cli.answer(arguments, client.call)
    if arguments.command == "queue":
        return _export_queue(arguments, client)
    if arguments.command == "reports":
        return _reports(arguments, client)
    if arguments.command == "thresholds":
        return _thresholds(arguments, client)
    version = getattr(arguments, "version", None)
    return client.call(arguments.command, **({} if version is None else {"version": version}))


def _reports(arguments: argparse.Namespace, client: ControlClient) -> Json:
    if arguments.action == "export":
        reports = report_export.fetch(client.call, arguments.participant)
        purpose = client.call("study")["purpose"]
        write_durable(arguments.out, report_export.to_csv(reports, purpose).encode())
        return {"written": len(reports), "file": str(arguments.out)}
    if arguments.revoke:
        return dict(client.call("revoke_link", participant=arguments.participant))
    made = client.call("make_link", participant=arguments.participant)
    return {**made, "url": f"{arguments.dashboard.rstrip('/')}/self-report?link={made['link']}"}


def _reports_done(done: Mapping[str, Any]) -> str:
    if "written" in done:
        return f"{done['written']} self-reports written to {done['file']}"
    if "url" in done:
        return (
            f"{done['url']}\nThis lets {done['participant']} answer, and whoever else has it: hand it over in person."
        )
    return f"the link of {done['participant']} {'has ended' if done['revoked'] else 'does not exist'}"


def _thresholds(arguments: argparse.Namespace, client: ControlClient) -> Any:
    if arguments.action == "apply":
        return client.call("apply_threshold", task=arguments.task, threshold=arguments.threshold)
    if arguments.most_misses is not None:
        return client.call("threshold_advice", task=arguments.task, most_misses=arguments.most_misses / 100)
    most = arguments.most_false_alarms_per_hour
    return client.call("threshold_advice", task=arguments.task, most_false_alarms_per_hour=most)


def _export_queue(arguments: argparse.Namespace, client: ControlClient) -> Json:
    books = arguments.consents
    consents = None if books is None else live_consents(books, time.time())
    wanted = Wanted(arguments.task, arguments.count, arguments.rater, arguments.without, consents)
    sheets, held_back = fetch(client.call, wanted)
    files = write(sheets, arguments.format, arguments.out)
    return {"written": len(sheets), "held_back": held_back, "files": [str(path) for path in files]}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8") from error


def _status(status: Mapping[str, Any]) -> str:
    learner = status["learner"]
    waits = [f"  {task} waits for {words}" for task, words in learner["waits_for"].items()]
    totals = f"{status['windows']} windows, {status['labels']} labels, {status['alerts']} alerts"
    version = status["model_version"]
    model = f"model version {version} is live" if version else "no model is published yet"
    about = [f"{model}; {totals} of {status['people']} people", *_trial(status["rollout"])]
    about.append(f"learner: {learner['state']}")
    if learner["set_aside"]:
        why = "labelled by people, seen by another expression model than the one in force"
        about.append(f"  windows set aside: {learner['set_aside']}, {why}")
    return "\n".join([*about, *waits, *_stream(learner["stream"]), *_personal(learner["personal"])])


def _trial(rollout: Mapping[str, Any] | None) -> list[str]:
    if rollout is None:
        return []
    return [f"version {rollout['version']} is tried on {', '.join(rollout['agents'])} first: {rollout['words']}"]


def _personal(people: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Whose offsets are in use, each beside the generic head."""
    return [
        f"  {person}, {task}: {found['words']}"
        for person, tasks in people.items()
        for task, found in tasks.items()
        if found["used"]
    ]


def _stream(stream: Mapping[str, Any]) -> list[str]:
    """How the heads did label by label, and what drifted last."""
    scores = [
        f"  {task}: balanced accuracy {known['head']:.2f} on {known['compared']} labels as they came, "
        f"{known['challenger']:.2f} for the online challenger"
        for task, known in stream["tasks"].items()
        if known["compared"]
    ]
    last = [
        f"  last drift: {found['signal']} {found['before']:.2f} -> {found['after']:.2f}, "
        f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(found['time']))}"
        for found in stream["drifts"][-1:]
    ]
    return [*scores, *last]


def _agent(agent: Mapping[str, Any]) -> str:
    if not agent["seen"]:
        return f"{agent['name']:20} never called"
    state = "alive" if agent["alive"] else f"silent for {agent['silent_s']:.0f} s"
    canary = ", tries it before the others" if agent["canary"] else ""
    model = f"model version {agent['model_version']}{canary}"
    return f"{agent['name']:20} {state}, camera {agent['camera_state']}, {model}, updates {agent['update_state']}"


def _model(model: Mapping[str, Any]) -> str:
    return f"version {model['version']:<4} {model['status']:12} {', '.join(model['tasks'])}"


_PLAIN: Mapping[str, Callable[[Any], str]] = {
    "status": _status,
    "agents": lambda agents: "\n".join(map(_agent, agents)) or "nobody is enrolled yet",
    "decisions": lambda found: "\n".join(f"{d['verdict']:10} {d['reason']}" for d in found) or "none yet",
    "models": lambda models: "\n".join(map(_model, models)) or "none is published yet",
    "labels": lambda done: (
        f"{done['stored']} labels stored, {done['known']} were known already, {done['unanswered']} rows without answer"
    ),
    "queue": lambda done: (
        f"{done['written']} windows written to {', '.join(done['files'])}; {done['held_back']} held back for consent"
    ),
    "reports": _reports_done,
    "rollback": lambda done: f"the old heads are published as version {done['version']}",
    "thresholds": lambda done: done["words"] if "words" in done else f"published as version {done['version']}",
    "accounts": account_cli.words,
    "retrain": lambda _: "the learner will run now",
}

if __name__ == "__main__":
    sys.exit(main())
