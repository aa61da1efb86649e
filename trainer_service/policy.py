"""When the learner runs for a task: enough new labels, and enough evidence for a fit and for its judgement.

new labels           at least `per_run` since the last decision (any number when run by hand)
to fit               people to train on: 2; no class that would explain all of their labels
to judge             what the gate needs: holdout windows and clusters, no class that would explain all of them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sentry_proto.tasks import Task
from trainer_service.labels import Opinion
from trainer_service.partition import HOLDOUT, TRAIN
from training.evaluation.gate import LEAST_CLUSTERS, LEAST_WINDOWS, cluster_ids

DEFAULT_PER_RUN = 10
LEAST_TRAINING_PEOPLE = 2


@dataclass(frozen=True)
class Side:
    """What one side of the holdout has been labelled with.

    Attributes:
        people, windows, clusters: how many; clusters as the gate counts them.
        one_class: whether a single class would explain every label (also when there is none).
    """

    people: int
    windows: int
    clusters: int
    one_class: bool


def side(task: Task, opinions: Sequence[Opinion], partition: str) -> Side:
    """Summarise the labels of one partition."""
    chosen = [opinion for opinion in opinions if opinion.partition == partition]
    people = [opinion.participant for opinion in chosen]
    common = set(task.classes).intersection(*(task.allowed(opinion.value) for opinion in chosen))
    clusters = cluster_ids(people, [o.session for o in chosen], [o.start for o in chosen])
    return Side(len(set(people)), len({o.window_id for o in chosen}), len(set(clusters)), bool(common))


def lacking(task: Task, opinions: Sequence[Opinion], new_labels: int, per_run: int) -> str:
    """What is missing before a run, in words; empty if it is due.

    Args:
        task: what is estimated.
        opinions: all that raters hold of it now.
        new_labels: how many labels came since the last decision.
        per_run: how many it takes; 0 for a run by hand.
    """
    train, holdout = side(task, opinions, TRAIN), side(task, opinions, HOLDOUT)
    wants = [
        _more(per_run - new_labels, "label"),
        _more(LEAST_TRAINING_PEOPLE - train.people, "labelled person", "labelled people"),
        "a second class among the labels" if train.people and train.one_class else "",
        *_holdout_wants(holdout),
    ]
    *first, last = [want for want in wants if want] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _holdout_wants(holdout: Side) -> list[str]:
    if not holdout.people:
        return ["a labelled person to hold out (every third one is)"]
    windows = _more(LEAST_WINDOWS - holdout.windows, "labelled window")
    clusters = _more(LEAST_CLUSTERS - holdout.clusters, "labelled minute")
    return [
        f"{windows or clusters} of held-out people" if windows or clusters else "",
        "a second class among the labels of held-out people" if holdout.one_class else "",
    ]


def _more(count: int, one: str, several: str = "") -> str:
    if count <= 0:
        return ""
    return f"{count} more {one if count == 1 else several or one + 's'}"
