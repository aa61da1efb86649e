"""When the learner runs for a task: enough new labels, and enough evidence for a fit and for its judgement.

news                 labels that came, and known ones that were withdrawn, since the last run: at least `wanted`, which
                     is `per_run`, or 1 once the time has come or the stream has drifted, or 0 when run by hand
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

AUDIT_AFTER_DRIFT, LEAST_AUDIT = 0.2, 0.01
AUDIT_HALF_LIFE_S = 3_600.0

BY_LABELS = "labels"
BY_TIME = "time"
BY_DRIFT = "drift"
BY_HAND = "by hand"


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


@dataclass(frozen=True)
class Stock:
    """What there is to learn a task from.

    Attributes:
        labels: that count: the newest of each rater on each window.
        train, holdout: the two sides.
    """

    labels: int
    train: Side
    holdout: Side

    @property
    def people(self) -> int:
        """How many people are labelled."""
        return self.train.people + self.holdout.people


def stock(task: Task, opinions: Sequence[Opinion]) -> Stock:
    """Summarise all that raters hold of a task now."""
    return Stock(len(opinions), _side(task, opinions, TRAIN), _side(task, opinions, HOLDOUT))


def _side(task: Task, opinions: Sequence[Opinion], partition: str) -> Side:
    chosen = [opinion for opinion in opinions if opinion.partition == partition]
    people = [opinion.participant for opinion in chosen]
    common = set(task.classes).intersection(*map(task.allowed, {opinion.value for opinion in chosen}))
    clusters = cluster_ids(people, [o.session for o in chosen], [o.start for o in chosen])
    return Side(len(set(people)), len({o.window_id for o in chosen}), len(set(clusters)), bool(common))


@dataclass(frozen=True)
class Occasion:
    """Why a run may be due.

    Attributes:
        trigger: what the decision will name as its cause.
        wanted: how much news it takes.
    """

    trigger: str
    wanted: int


@dataclass(frozen=True)
class ByTime:
    """When a run will be due that lacks labels now.

    Attributes:
        time: Unix seconds.
        labels: how many more it takes by then: none, or one.
    """

    time: float
    labels: int


def occasion(
    now: float, last_run: float, per_run: int, every_s: float | None, drift: float | None, by_hand: bool
) -> Occasion:
    """What speaks for a run now.

    Without news a run would make the same head again, so time and drift only lower the number that it takes.

    Args:
        now: Unix seconds.
        last_run: likewise, of the last run (or of the start, if there was none).
        per_run: how many labels are learned from together.
        every_s: seconds after which a single one suffices; None for never.
        drift: when the stream last changed (Unix seconds), None if it has not.
        by_hand: whether somebody asked for it.
    """
    if by_hand:
        return Occasion(BY_HAND, 0)
    if drift is not None and drift > last_run:
        return Occasion(BY_DRIFT, 1)
    if every_s is not None and now - last_run >= every_s:
        return Occasion(BY_TIME, 1)
    return Occasion(BY_LABELS, per_run)


def audit_probability(now: float, drift: float | None) -> float:
    """How likely agents should send a window at random: much right after a drift, then half as much every hour.

    Args:
        now: Unix seconds.
        drift: when the stream last changed, None if it has not.

    Returns:
        In 0..1; agents never go below what they are set to, so 0 wishes for nothing.
    """
    if drift is None:
        return 0.0
    wished: float = AUDIT_AFTER_DRIFT * 0.5 ** (max(0.0, now - drift) / AUDIT_HALF_LIFE_S)
    return wished if wished > LEAST_AUDIT else 0.0


def lacking(there: Stock, news: int, wanted: int) -> str:
    """What is missing before a run, in words; empty if it is due.

    Args:
        there: what there is to learn the task from.
        news: how many labels came or were withdrawn since the last run.
        wanted: how many it takes; 0 for a run by hand.
    """
    train, holdout = there.train, there.holdout
    wants = [
        _more(wanted - news, "label"),
        _more(LEAST_TRAINING_PEOPLE - train.people, "labelled person", "labelled people"),
        "a second class among the labels" if train.people and train.one_class else "",
        *_holdout_wants(holdout),
    ]
    *first, last = [want for want in wants if want] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def by_time(there: Stock, news: int, due: Occasion, last_run: float, every_s: float | None) -> ByTime | None:
    """When the time alone will make a run due for which only labels are lacking; None if never.

    Args:
        there: what there is to learn the task from.
        news: how many labels came or were withdrawn since the last run.
        due: what speaks for a run now.
        last_run: Unix seconds.
        every_s: seconds after which a single label suffices; None for never.
    """
    if every_s is None or due.trigger != BY_LABELS or news >= due.wanted or lacking(there, due.wanted, due.wanted):
        return None
    return ByTime(last_run + every_s, 0 if news else 1)


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
