"""`sentry-dashboard`: start the dashboard's web server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sentry_proto.errors import InputError, SentryError
from sentry_proto.keys import CONTROL, KeyFile
from sentry_proto.software import SOFTWARE
from training.active_learning.review.serve import become, server_arguments

KEY_VARIABLE = "SENTRY_CONTROL_KEY"
ACTED_VARIABLE = "SENTRY_ACTED"
SELF_REPORT_VARIABLE = "SENTRY_SELF_REPORT"
OPEN_VARIABLE = "SENTRY_NO_SIGN_IN"
ESTIMATES_VARIABLE = "SENTRY_RATERS_SEE_ESTIMATES"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SCRIPT = Path(__file__).with_name("app.py")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="sentry-dashboard", description="Overview, review, error rates and self-reports in a browser."
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {SOFTWARE}")
    made.add_argument("--key", type=Path, default=Path("control.key"), help="a key of the role control (control.key)")
    made.add_argument("--port", type=int, default=8501, help="of the web server (8501)")
    made.add_argument("--address", default="127.0.0.1", help="to listen on (127.0.0.1: this machine only)")
    made.add_argument("--acted", action="store_true", help="say on every page that a puppet acts what is seen")
    made.add_argument("--self-report", action="store_true", help="serve the page for participants, and no other")
    made.add_argument(
        "--raters-see-estimates",
        action="store_true",
        help="show raters what the model says before they answer; error rates then come out too low",
    )
    made.add_argument("--no-sign-in", action="store_true", help="let everybody at this machine do everything")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Check the key file, then become the web server."""
    chosen = parser().parse_args(arguments)
    try:
        KeyFile.load(chosen.key, CONTROL)
        if chosen.no_sign_in and chosen.address not in LOOPBACK:
            raise InputError("--no-sign-in is for this machine only: it goes with --address 127.0.0.1")
    except SentryError as error:
        print(f"sentry-dashboard: {error}", file=sys.stderr)
        return error.exit_code
    os.environ[KEY_VARIABLE] = str(chosen.key.resolve())
    flags = {
        ACTED_VARIABLE: chosen.acted,
        SELF_REPORT_VARIABLE: chosen.self_report,
        OPEN_VARIABLE: chosen.no_sign_in,
        ESTIMATES_VARIABLE: chosen.raters_see_estimates,
    }
    os.environ.update({name: "1" for name, wanted in flags.items() if wanted})
    print(f"The dashboard is at http://{chosen.address}:{chosen.port}", flush=True)
    return become([sys.executable, "-m", "dashboard.server", *server_arguments(SCRIPT, chosen.address, chosen.port)])


if __name__ == "__main__":
    sys.exit(main())
