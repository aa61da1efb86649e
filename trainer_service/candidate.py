"""One task's candidate: which labels count how much, the fit, and every condition it has to fulfil.

    gate         on people held out: better than a constant forecast, or not worse than the incumbent
    ledger       what the versions since the best one have lost on people held out, added up, stays within the margin:
                 many small steps down are refused like a large one
    forgetting   not worse than the incumbent on people whom it knew and of whom nothing new came, out of fold; with a
                 ledger of its own

The first two are about people never met, the third about people that the heads were fitted on. There each person is
judged by the ensemble member that never sees that person, in the candidate as in the incumbent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from trainer_service.jobs import Finding
from trainer_service.labels import Opinion
from trainer_service.opinions import allowed_by, weighed
from trainer_service.partition import HOLDOUT, TRAIN
from trainer_service.raters import Weighing
from trainer_service.replay import reservoir
from training.evaluation.gate import MARGIN, TOLERANCE, Verdict, cluster_ids, judge
from training.trainers.ensembles import held_out
from training.trainers.state_heads import TaskHead, fit_head

LEAST_TRUST = 0.5
"""Labels of raters with less trust than this do not judge."""

Fetch = Callable[[Sequence[Opinion]], Float32]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


def make_candidate(
    task: Task,
    held: Sequence[Opinion],
    fetch: Fetch,
    incumbent: TaskHead | None,
    live_metrics: Mapping[str, Any],
) -> tuple[TaskHead, Finding]:
    """Fit a candidate on the people to train on, and judge it.

    Args:
        task: what is estimated.
        held: all that raters hold of it now, in the order of the windows' first labels.
        fetch: pooled windows of some opinions, float32 [n, D].
        incumbent: the head that is live, None for none.
        live_metrics: the figures that it was published with.
    """
    weighing = weighed(task, held)
    train = _replayed(held, TRAIN)
    fitted_on = [held[row] for row in train]
    weights, allowed, pooled = weighing.weights[train], allowed_by(task, fitted_on), fetch(fitted_on)
    head = fit_head(task, pooled, allowed, weights, [o.participant for o in fitted_on], incumbent)
    verdict = _gate(task, held, weighing, head, incumbent, _prior(allowed, weights), fetch)
    if incumbent is not None and "improvement" in verdict.metrics:
        verdict = _with_ledger(task, verdict, live_metrics)
        verdict = _with_memory(
            task,
            verdict,
            fitted_on,
            old_people(held, int(live_metrics.get("labels", 0))),
            live_metrics,
            (head, incumbent),
            pooled,
        )
    metrics = {**verdict.metrics, "labels": len(held), "replayed": len(train), "raters": _raters(weighing)}
    people = len({opinion.participant for opinion in held})
    return head, Finding(task.name, verdict.passed, verdict.reason, metrics, len(held), people)


def needed(held: Sequence[Opinion]) -> list[Opinion]:
    """The opinions whose windows a run will look at."""
    return [held[row] for side in (TRAIN, HOLDOUT) for row in _replayed(held, side)]


def old_people(held: Sequence[Opinion], known: int) -> set[str]:
    """People to train on who are among the first `known` opinions and not among those that came later."""
    before, after = ({o.participant for o in part if o.partition == TRAIN} for part in (held[:known], held[known:]))
    return before - after


def _replayed(held: Sequence[Opinion], partition: str) -> NDArray[np.int64]:
    """Rows of one side that are used: all, or beyond a number a balanced reservoir."""
    rows = [row for row, opinion in enumerate(held) if opinion.partition == partition]
    some = [held[row] for row in rows]
    kept = reservoir([o.window_id for o in some], [o.participant for o in some], [o.value for o in some])
    return np.array(rows, np.int64)[kept]


def _gate(
    task: Task,
    held: Sequence[Opinion],
    weighing: Weighing,
    head: TaskHead,
    incumbent: TaskHead | None,
    prior: Floats,
    fetch: Fetch,
) -> Verdict:
    judges = [held[row] for row in _replayed(held, HOLDOUT) if weighing.trust[held[row].rater] >= LEAST_TRUST]
    pooled = fetch(judges)
    return judge(
        task,
        allowed_by(task, judges),
        head.predict(pooled).mean,
        incumbent.predict(pooled).mean if incumbent else None,
        prior,
        _clusters(judges),
    )


def _with_ledger(task: Task, verdict: Verdict, live_metrics: Mapping[str, Any]) -> Verdict:
    """Add up what was lost since the best version, and refuse what goes too far."""
    balance = _balance(live_metrics, verdict.metrics["improvement"])
    verdict = replace(verdict, metrics={**verdict.metrics, "ledger": balance})
    if not verdict.passed or balance >= -MARGIN:
        return verdict
    reason = f"{task.name}: with this one, the versions since the best have lost {-balance:.3f} in Brier score"
    return replace(verdict, passed=False, reason=f"{reason}, more than {MARGIN}")


def _balance(carried: Mapping[str, Any], gain: float) -> float:
    """What was lost since the best version, 0 or less."""
    return min(0.0, float(carried.get("ledger", 0.0)) + gain)


def _with_memory(
    task: Task,
    verdict: Verdict,
    fitted_on: Sequence[Opinion],
    old: set[str],
    live_metrics: Mapping[str, Any],
    heads: tuple[TaskHead, TaskHead],
    pooled: Float32,
) -> Verdict:
    """Compare candidate and incumbent on people learned before, and refuse what has forgotten them."""
    names = [opinion.participant for opinion in fitted_on]
    candidate, incumbent = (_out_of_fold(head, pooled, names) for head in heads)
    there = np.isin(names, list(old)) & np.isfinite(candidate).all(1) & np.isfinite(incumbent).all(1)
    some = [opinion for opinion, here in zip(fitted_on, there, strict=True) if here]
    even = np.full(len(task.classes), 1 / len(task.classes))
    found = judge(task, allowed_by(task, some), candidate[there], incumbent[there], even, _clusters(some)).metrics
    if "improvement" not in found:
        return replace(verdict, metrics={**verdict.metrics, "old_people": found})
    gain, (low, high) = found["improvement"], found["interval"]
    found["ledger"] = _balance(live_metrics.get("old_people", {}), gain)
    verdict = replace(verdict, metrics={**verdict.metrics, "old_people": found})
    if not verdict.passed or (found["ledger"] >= -MARGIN and (high >= 0 or gain >= -TOLERANCE)):
        return verdict
    reason = f"{task.name}: worse on {found['people']} people learned before; improvement {gain:+.3f}"
    reason += (
        f" ({found['level']:.0%} interval {low:+.3f} to {high:+.3f}), {found['ledger']:+.3f} since the best version"
    )
    return replace(verdict, passed=False, reason=reason)


def _out_of_fold(head: TaskHead, pooled: Float32, people: Sequence[str]) -> Floats:
    """Class probabilities [n, C] by the members that never see the person; NaN where there is none."""
    unseen = held_out(people, len(head.weights)).T[:, :, None]
    members = head.predict(pooled).members.astype(np.float64)
    count = unseen.sum(1)
    return np.where(count > 0, (members * unseen).sum(1) / np.maximum(count, 1), np.nan)


def _raters(weighing: Weighing) -> dict[str, Any]:
    return {
        "count": len(weighing.trust),
        "largest_share": weighing.largest_share,
        "doubted": sorted(rater for rater, trust in weighing.trust.items() if trust < LEAST_TRUST),
    }


def _clusters(some: Sequence[Opinion]) -> list[str]:
    return cluster_ids([o.participant for o in some], [o.session for o in some], [o.start for o in some])


def _prior(allowed: Flags, weights: Floats) -> Floats:
    """Class shares among the labels, float [C]; a label that allows several classes is split evenly."""
    parts = allowed / allowed.sum(1, keepdims=True)
    mass = weights @ parts
    shares: Floats = mass / mass.sum()
    return shares
