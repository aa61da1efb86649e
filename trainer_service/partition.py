"""Who is held out: a rule that is fixed before anybody is labelled and never revised.

People are numbered in the order of their first label. Every third, beginning with the second, is held out for ever:
heads are fitted on the others and judged on these, so no person is on both sides.
"""

from __future__ import annotations

TRAIN = "train"
HOLDOUT = "holdout"


def partition_of(number: int) -> str:
    """The partition of the `number`-th person, counted from 1."""
    return HOLDOUT if number % 3 == 2 else TRAIN
