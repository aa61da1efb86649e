"""The arguments of `sentry-agent webrtc` and `sentry-agent webrtc invite`."""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.policy import load_policy
from sentry_proto.errors import InputError, MissingDependency

DEFAULT_ADDRESS = "http://127.0.0.1:8480"


def add_webrtc(webrtc: argparse.ArgumentParser, data_dir: Path, positive: Callable[[str], float]) -> None:
    """Fill the parser; `data_dir` is the default, `positive` reads a number above 0."""
    add = webrtc.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=int, default=8480, help="default: %(default)s")
    add("--cert", type=Path, help="certificate for HTTPS (PEM), which other machines' browsers need")
    add("--cert-key", type=Path, help="the certificate's key (PEM)")
    add("--behind-proxy", action="store_true", help="another server before this one speaks HTTPS")
    add("--ice", type=Path, help="JSON list of STUN and TURN servers (default: none is asked)")
    add("--information", type=Path, help="text that participants read before they agree, instead of the one shipped")
    add("--hours", type=positive, default=8.0, help="for which a consent holds (default: 8)")
    add("--most", type=int, default=4, help="participants at once (default: 4)")
    add("--key", type=Path, help="this machine's key file; without one nothing is sent")
    add("--tasks", type=Path, help="task file (TOML); default: stress, focus, anxiety, depression")
    add("--audit", type=float, default=0.05, help="share of the windows sent at random (default: 0.05)")
    add("--budget", type=float, default=30.0, help="most uncertain windows of a participant an hour (default: 30)")
    add("--provider", default="auto", help="what runs the expression model, as of run (default: auto)")
    add("--metrics", metavar="[HOST:]PORT", help="offer figures to Prometheus there; on this machine without HOST")
    add("--json", action="store_true", help="print a report as JSON at the end")
    add("--data-dir", type=Path, default=data_dir, help="default: %(default)s")
    webrtc.set_defaults(command=_serve)
    invite = webrtc.add_subparsers(metavar="invite").add_parser("invite", help="make a link for one participant")
    invite.add_argument("--participant", required=True, help="pseudonym of who will use it")
    invite.add_argument("--valid-hours", type=positive, default=24.0, help="until it expires (default: 24)")
    invite.add_argument("--address", default=DEFAULT_ADDRESS, help="of the page (default: %(default)s)")
    invite.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS, help=f"default: {data_dir}")
    invite.set_defaults(command=_invite)


def _serve(options: argparse.Namespace) -> int:
    from edge_agent.cli import require_libraries, stop_on_signal  # noqa: PLC0415 - it imports this module

    purpose = load_policy().purpose_of(None)
    require_libraries()
    _require("aiortc", "websockets")
    from edge_agent.state import RunOptions  # noqa: PLC0415 - after the check for libraries
    from edge_agent.webrtc.app import SOURCE, ServeOptions, serve  # noqa: PLC0415
    from sentry_proto.metrics import address  # noqa: PLC0415
    from sentry_proto.tasks import DEFAULT_TASKS, load_tasks  # noqa: PLC0415

    run = RunOptions(
        SOURCE,
        options.data_dir,
        key=options.key,
        tasks=load_tasks(options.tasks) if options.tasks else DEFAULT_TASKS,
        audit=options.audit,
        budget=options.budget,
        provider=options.provider,
        metrics=address(options.metrics) if options.metrics else None,
        purpose=purpose,
    )
    wanted = ServeOptions(
        run,
        options.host,
        options.port,
        options.cert,
        options.cert_key,
        options.behind_proxy,
        options.ice,
        options.information,
        options.hours,
        options.most,
    )
    report = serve(wanted, stop_on_signal())
    if options.json:
        print(json.dumps(report), flush=True)
    return 0


def _invite(options: argparse.Namespace) -> int:
    from edge_agent.webrtc.invites import InviteBook  # noqa: PLC0415

    if not options.address.startswith(("http://", "https://")):
        raise InputError(f"--address is that of the page, such as https://lab.example:8480, not {options.address!r}")
    book = InviteBook(options.data_dir / "invites.json")
    token = book.issue(options.participant, time.time(), 3600 * options.valid_hours)
    print(f"{options.address.rstrip('/')}/#{token}")
    return 0


def _require(*names: str) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingDependency(f"{name} cannot be loaded ({error}); install sentry-lab[edge,webrtc]") from error
