"""What a validation found, and the results of each task or scale sorted by what they are there for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sentry_proto.tasks import Task
from training.datasets.exclusions import Exclusions
from training.evaluation.controls import PERSON, Trap
from training.evaluation.results import Result, deciding_metric

CHANCE = {"task": 0.5, "scale": 0.0}
"""Of the metrics that ingredients are compared by."""

REFERENCE = "reference"
"""Baseline of an ingredient whose minutes of the person are no labels but the person's own middle."""


@dataclass(frozen=True)
class Findings:
    """A whole run, as `--json` prints it.

    Attributes:
        dataset: which loader read it.
        title: name of the data, for a reader.
        source: where the data come from, to be cited; empty for a lab's own.
        command: by which the figures can be had again.
        version: of Sentry.
        made: when, with a time zone.
        protocol: how people were split, for a reader.
        seeds: how often all was repeated.
        people, windows: how many were read.
        results: those of one task or scale stand together.
        tasks: what has classes, by name.
        exclusions: what was left out of the data.
        omitted: what was not measured -> why.
        permuted: one entry per permutation test: task, model, features, permutations, observed, permuted_mean, p.
        traps: task -> by what else than the state it can be told.
    """

    dataset: str
    title: str
    command: str
    version: str
    made: datetime
    protocol: str
    seeds: int
    people: int
    windows: int
    results: Sequence[Result]
    source: str = ""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    exclusions: Exclusions = field(default_factory=Exclusions)
    omitted: Mapping[str, str] = field(default_factory=dict)
    permuted: Sequence[Mapping[str, Any]] = ()
    traps: Mapping[str, Sequence[Trap]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """A sentence per trap."""
        return [trap.sentence for traps in self.traps.values() for trap in traps]

    def topics(self) -> list[Topic]:
        """One per task or scale that was measured, in the order of the results."""
        return [self._topic(name) for name in dict.fromkeys(result.task for result in self.results)]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "seeds": self.seeds,
            "people": self.people,
            "windows": self.windows,
            "left_out": self.exclusions.counts,
            "not_measured": self.omitted,
            "interval": "95 % over people",
            "results": [result.to_json() for result in self.results],
            "permuted_blocks": list(self.permuted),
            "warnings": self.warnings,
        }

    def _topic(self, name: str) -> Topic:
        own = [result for result in self.results if result.task == name]
        compared = [result for result in own if result.protocol == self.protocol]
        return Topic(
            name=name,
            kind=own[0].kind,
            task=self.tasks.get(name),
            metric=deciding_metric(*own),
            candidates=[r for r in compared if not r.ingredient.control and not r.ingredient.shots],
            controls=[r for r in compared if r.ingredient.control and r.ingredient.features == "none"],
            acquainted=[r for r in own if r.ingredient.model == PERSON],
            calibrated=_beside_their_twins(own),
            held_out=[r for r in own if "holdout of" in r.protocol],
            permuted=[test for test in self.permuted if test["task"] == name],
            traps=list(self.traps.get(name, ())),
            results=own,
        )


@dataclass(frozen=True)
class Topic:
    """All that was found about one task or scale.

    Attributes:
        name, kind: of the task or scale, as in its results.
        task: None for a scale.
        metric: by which ingredients are compared.
        candidates: what learns from other people alone.
        controls: what looks at no feature, under the same splits as the candidates.
        acquainted: the control that knows labels of the tested person, which is no score to reach.
        calibrated: (with, without) k minutes of the tested person.
        held_out: what was tested once on people in no other figure.
        permuted: as in `Findings`, of this task.
        traps: as in `Findings`, of this task.
        results: all of them.
    """

    name: str
    kind: str
    task: Task | None
    metric: str
    candidates: Sequence[Result]
    controls: Sequence[Result]
    acquainted: Sequence[Result]
    calibrated: Sequence[tuple[Result, Result]]
    held_out: Sequence[Result]
    permuted: Sequence[Mapping[str, Any]]
    traps: Sequence[Trap]
    results: Sequence[Result]

    @property
    def chance(self) -> float:
        """Of `metric`."""
        return CHANCE[self.kind]

    @property
    def leading(self) -> str:
        """The metric that the verdict rests on: of a scale, how much better than the mean it is predicted."""
        return self.metric if self.kind == "task" else "mae_gain"

    @property
    def best(self) -> Result | None:
        """The candidate that is highest by `leading`; None if it cannot be told of any."""
        return highest(self.candidates, self.leading)

    @property
    def best_control(self) -> Result | None:
        """The control that is highest by `leading`."""
        return highest(self.controls, self.leading)

    def above(self, metric: str, line: float) -> list[Result]:
        """The candidates whose whole interval lies above a line."""
        return [r for r in self.candidates if metric in r.metrics and r.metrics[metric].low > line]

    def below(self, metric: str, line: float) -> list[Result]:
        """The candidates whose whole interval lies below a line."""
        return [r for r in self.candidates if metric in r.metrics and r.metrics[metric].high < line]


def highest(results: Sequence[Result], metric: str) -> Result | None:
    """The result that is highest by a metric; None if it cannot be told of any."""
    known = [r for r in results if metric in r.metrics and math.isfinite(r.metrics[metric].value)]
    return max(known, key=lambda r: r.metrics[metric].value, default=None)


def _beside_their_twins(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Each result with minutes of the person, and the same model without them.

    Labelled minutes have a twin that was tested on the same windows; a baseline from reference minutes is compared with
    the causal one.
    """
    pairs = []
    for result in results:
        own = result.ingredient
        if not own.shots:
            continue
        if own.baseline == REFERENCE:
            twins = (r for r in results if r.ingredient.model == own.model and r.ingredient.features == own.features
                     and r.ingredient.baseline == "causal" and not r.ingredient.shots)  # fmt: skip
        else:
            name = f"{own.model} without the {own.shots} minutes"
            twins = (r for r in results if r.ingredient.control and r.ingredient.model == name)
        pairs += [(result, twin) for twin in twins][:1]
    return pairs
