"""Whether the live version errs more than its parent would have, on what people say of windows as it scores them.

Both are asked about the same windows: those of the audit stratum (the others are chosen by the heads) that were scored
by the live version and labelled since, which neither of them has learned from. So neither a change of the world nor of
the people can be taken for a fault of the version. Losses, weights and interval are those of the gate
(`training.evaluation.gate`).

The question is asked anew with every label, so the level is strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from sentry_proto.tasks import Task
from sentry_proto.types import Stratum
from trainer_service import schema
from trainer_service.labels import Opinion
from training.evaluation.gate import LEAST_CLUSTERS, LEAST_WINDOWS, cluster_ids, improvement

LEVEL = 0.998
"""Of the interval: one-sided 0.1 % for each look."""

LEAST_EXCESS = 0.05
"""In Brier score; a smaller difference is not worth a step back."""

Floats = NDArray[np.floating[Any]]


def scored_by(connection: Connection, version: int) -> set[str]:
    """The audit windows that this version has scored."""
    window = schema.windows.c
    chosen = select(window.window_id).where(window.model_version == version, window.stratum == Stratum.AUDIT.value)
    return set(connection.scalars(chosen))


def complaint(task: Task, held: Sequence[Opinion], live: Floats, parent: Floats) -> str:
    """Why the live version should go back to its parent, in words; empty if it need not.

    Args:
        task: what was estimated.
        held: N opinions on windows that the live version has scored.
        live: float [N, C], what the live version says of these windows.
        parent: likewise, what its parent would have said.
    """
    allowed = np.array([[name in task.allowed(one.value) for name in task.classes] for one in held], bool)
    telling = [row for row, possible in enumerate(allowed) if not possible.all()]
    some = [held[row] for row in telling]
    clusters = cluster_ids([o.participant for o in some], [o.session for o in some], [o.start for o in some])
    if len(some) < LEAST_WINDOWS or len(set(clusters)) < LEAST_CLUSTERS:
        return ""
    gain, low, high = improvement(allowed[telling], parent[telling], live[telling], clusters, 0, LEVEL)
    if low <= 0 or gain < LEAST_EXCESS:
        return ""
    return (
        f"on {len(some)} labels of audit windows that it scored, its parent would have been better by {gain:.3f} "
        f"in Brier score ({LEVEL:.1%} interval {low:+.3f} to {high:+.3f})"
    )
