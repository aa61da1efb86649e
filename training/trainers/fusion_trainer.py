"""Train learned fusion layers alone: ``python -m training.trainers.fusion_trainer --data custom_sessions/``.

The same steps as `training.trainers.classifier_trainer` with ``--fusion learned``: every task that passes its gate gets
learned layers, whether or not they beat statistics pooling, and how the two compare is printed.
"""

from __future__ import annotations

import argparse
import sys

from training.trainers.classifier_report import comparison
from training.trainers.classifier_trainer import add_options, run
from training.trainers.classifier_training import LEARNED


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status, as `training.trainers.classifier_trainer.main`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.trainers.fusion_trainer",
        description="Train learned fusion layers on recorded sessions, and compare them with statistics pooling.",
    )
    add_options(parser)
    parser.set_defaults(fusion=LEARNED)
    return run("fusion_trainer", parser.parse_args(argv), comparison)


if __name__ == "__main__":
    sys.exit(main())
