"""What the learner asks of its worker process, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainer_service.policy import Stock

THRESHOLD = "threshold"
"""Among a live task's metrics: the alert threshold that was applied by hand, in place of the task file's. It stays with
the versions that follow, and goes with a rollback to one from before."""


@dataclass(frozen=True)
class Prepare:
    """Read and pool now what a run would need, so that the next one need not, and say how much there is."""


@dataclass(frozen=True)
class Observe:
    """Take in a portion of the windows and labels that came since the last one.

    Attributes:
        live: the version to compare with its parent once nothing is left; 0 for none.
        parent: that version.
        tasks: those in which the two differ.
    """

    live: int = 0
    parent: int = 0
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Learn:
    """Fit and judge these tasks, and compose a bundle if a candidate passes.

    Attributes:
        tasks: names.
        version: of the bundle, if there will be one.
        parent: the version that is live; 0 for none.
        now: Unix seconds.
    """

    tasks: tuple[str, ...]
    version: int
    parent: int
    now: float


@dataclass(frozen=True)
class Republish:
    """Export the heads of `source` once more, under a new version.

    Attributes:
        thresholds: task name -> the alert threshold to use from now on; other tasks keep theirs.
    """

    source: int
    version: int
    now: float
    thresholds: Mapping[str, float] = field(default_factory=dict)


Job = Prepare | Observe | Learn | Republish


@dataclass(frozen=True)
class Finding:
    """The gate's verdict on one candidate."""

    task: str
    passed: bool
    reason: str
    metrics: Mapping[str, Any]
    labels: int
    people: int


@dataclass(frozen=True)
class Outcome:
    """What a job led to.

    Attributes:
        stocks: of a `Prepare`, task name -> what there is to learn it from.
        findings: one per task of a `Learn`.
        bundle: to be published; None for nothing.
        live: names of the tasks that are live in it.
        metrics: per live task.
        stream: of an `Observe`, what is known of the stream, as `StreamWatch.describe` gives it.
        behind: whether an `Observe` has left something for the next one.
        complaints: of an `Observe`, task name -> why the live version should go back to its parent.
        foreign: of an `Observe`, whether that version is for another expression model than the one in force.
        parent: of a bundle, the version that it builds on; 0 where that is for another expression model.
        set_aside: of a `Prepare`, labelled windows that another expression model saw.
    """

    findings: tuple[Finding, ...] = ()
    bundle: bytes | None = None
    live: tuple[str, ...] = ()
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stream: Mapping[str, Any] = field(default_factory=dict)
    behind: bool = False
    complaints: Mapping[str, str] = field(default_factory=dict)
    stocks: Mapping[str, Stock] = field(default_factory=dict)
    foreign: bool = False
    parent: int = 0
    set_aside: int = 0


@dataclass(frozen=True)
class Failure:
    """The job failed; its traceback is in the log."""

    words: str
