"""``sentry-train``: the command line of the offline library."""

from __future__ import annotations

import argparse
import sys

from sentry_proto.errors import SentryError
from sentry_proto.pipes import unread
from sentry_proto.software import SOFTWARE
from training.commands import crossval, evaluate, sessions
from training.evaluation.expression import ModelError


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; returns the exit status (2 for bad input)."""
    options = _parser().parse_args(argv)
    try:
        status = int(options.command(options))
        sys.stdout.flush()
    except BrokenPipeError:
        return unread()
    except SentryError as error:
        print(f"sentry-train: {error}", file=sys.stderr)
        return error.exit_code
    except (ModelError, OSError) as error:
        print(f"sentry-train: {error}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentry-train", description="Train and judge Sentry's models offline.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {SOFTWARE}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    crossval.add(commands)
    evaluate.add(commands)
    sessions.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
