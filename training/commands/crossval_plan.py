"""What ``sentry-train crossval`` compares on each task and scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from training.evaluation.controls import control_studies, person_study
from training.evaluation.estimator import Classifier, Regressor
from training.evaluation.protocols import (
    FewShot,
    Holdout,
    LeaveOnePersonOut,
    PersonKFold,
    SplitProtocol,
    reference_baseline,
)
from training.evaluation.results import Ingredient, Result, deciding_metric
from training.evaluation.validation import Study, usable_rows
from training.trainers.estimators import (
    FusionScale,
    GradientBoostingBaseline,
    GradientBoostingScale,
    LearnedFusion,
    LinearHeads,
    LogisticRegressionBaseline,
    RidgeScale,
)
from training.windows import WindowSet

FACE, POSTURE = ("face", "emotion"), ("posture", "pose", "hands")
BOTH = "both"
FEATURES: Mapping[str, tuple[str, ...]] = {"face": FACE, "posture": POSTURE, BOTH: ()}
"""Name of an ingredient -> the modalities that are left in the windows; all of them for `both`."""

LINEAR, LOGISTIC, BOOSTING, FUSION = "linear heads", "logistic regression", "gradient boosting", "learned fusion"
RIDGE = "ridge regression"
CLASSIFIERS: Mapping[str, Classifier] = {
    LOGISTIC: LogisticRegressionBaseline(),
    LINEAR: LinearHeads(),
    BOOSTING: GradientBoostingBaseline(),
    FUSION: LearnedFusion(),
}
REGRESSORS: Mapping[str, Regressor] = {
    RIDGE: RidgeScale(),
    BOOSTING: GradientBoostingScale(),
    FUSION: FusionScale(),
}
QUICK = (LOGISTIC, RIDGE)
"""The models of a quick run: one each, within seconds."""

CALIBRATED = (LOGISTIC, LINEAR, RIDGE)
"""The models that are also tried with minutes of the tested person."""

SHOTS = (5, 10, 20)
RAW, CAUSAL, REFERENCE = "raw", "causal", "reference"

PROTOCOLS: Mapping[str, SplitProtocol] = {
    "loso": LeaveOnePersonOut(),
    "kfold": PersonKFold(5),
    "holdout": PersonKFold(5, holdout=0.2),
}


@dataclass(frozen=True)
class Plan:
    """All studies of a run, and why others are not among them.

    Attributes:
        studies: in the order of tasks.
        omitted: what cannot be measured -> why.
    """

    studies: list[Study] = field(default_factory=list)
    omitted: dict[str, str] = field(default_factory=dict)


def make_plan(
    variants: Mapping[str, WindowSet], targets: Sequence[Task | str], protocol: SplitProtocol, quick: bool = False
) -> Plan:
    """Every ingredient on every target that has labels.

    Args:
        variants: the same windows by baseline, `RAW` and `CAUSAL`; a quick run needs only the latter.
        targets: tasks, and names of scales.
        protocol: how people are split.
        quick: fewer models, no calibration.

    Raises:
        InputError: nothing can be measured; says why.
    """
    plan = Plan()
    for target in targets:
        name = target if isinstance(target, str) else target.name
        try:
            rows = usable_rows(variants[CAUSAL], target)
            protocol.folds(variants[CAUSAL], rows, None, 0)
        except InputError as error:
            plan.omitted[name] = str(error)
            continue
        plan.studies.extend(_compared(variants, target, protocol, quick))
        plan.studies.extend(control_studies(variants[CAUSAL], target, protocol))
        try:
            plan.studies.append(person_study(variants[CAUSAL], target))
        except InputError as error:
            plan.omitted[f"{name} beside the person alone"] = str(error)
        if not quick:
            _calibrate(plan, variants[CAUSAL], target, name)
    if not plan.studies:
        raise InputError("nothing can be measured: " + "; ".join(plan.omitted.values()))
    return plan


def holdout_studies(studies: Sequence[Study], results: Sequence[Result], share: float) -> list[Study]:
    """Of each target the candidate that did best in cross-validation, to be tested once on the holdout."""
    best: dict[str, tuple[float, Study]] = {}
    for study, result in zip(studies, results, strict=True):
        if study.ingredient.control or study.ingredient.shots:
            continue
        score = _deciding_score(result)
        if score > best.get(study.name, (-math.inf, study))[0]:
            best[study.name] = (score, study)
    return [replace(study, protocol=Holdout(share)) for _, study in best.values()]


def only(windows: WindowSet, features: str) -> WindowSet:
    """The windows as if only the face, or only posture, had been seen."""
    wanted = [name for name in FEATURES[features] if name in windows.space.modalities]
    return windows.only(*wanted) if FEATURES[features] else windows


def _deciding_score(result: Result) -> float:
    value = result.metrics[deciding_metric(result)].value
    return value if math.isfinite(value) else -math.inf


def _models(target: Task | str, keep: Callable[[str], bool]) -> Iterator[tuple[str, Classifier | Regressor]]:
    models: Iterable[tuple[str, Classifier | Regressor]] = (
        REGRESSORS.items() if isinstance(target, str) else CLASSIFIERS.items()
    )
    yield from ((name, model) for name, model in models if keep(name))


def _compared(
    variants: Mapping[str, WindowSet], target: Task | str, protocol: SplitProtocol, quick: bool
) -> Iterator[Study]:
    """All models on face, posture and both, raw and with the causal baseline."""
    for baseline, windows in variants.items():
        for features in FEATURES:
            shown = only(windows, features)
            try:
                usable_rows(shown, target)
            except InputError:
                continue  # the other modality is all that was recorded
            for name, model in _models(target, lambda name: not quick or name in QUICK):
                yield Study(target, Ingredient(name, features, baseline), shown, model, protocol)


def _calibrate(plan: Plan, windows: WindowSet, target: Task | str, name: str) -> None:
    """Add the studies with minutes of the tested person, or why there are none."""
    for k in SHOTS:
        try:
            studies = list(_labelled_minutes(windows, target, k))
        except InputError as error:
            try:
                studies = list(_reference_minutes(windows, target, k))
            except InputError:
                plan.omitted[f"{name} with {k} minutes of the person"] = str(error)
                continue
        plan.studies.extend(studies)


def _labelled_minutes(windows: WindowSet, target: Task | str, k: int) -> Iterator[Study]:
    """Learning from the minutes, beside the same tests without them."""
    rows = usable_rows(windows, target)
    classes = None
    if isinstance(target, Task):
        allowed = windows.allowed[target.name][rows]
        classes = np.where(allowed.sum(1) == 1, allowed.argmax(1), -1)
    FewShot(k).folds(windows, rows, classes, 0)
    for name, model in _models(target, CALIBRATED.__contains__):
        yield Study(target, Ingredient(name, BOTH, CAUSAL, k), windows, model, FewShot(k))
        without = Ingredient(f"{name} without the {k} minutes", BOTH, CAUSAL, control=True)
        yield Study(target, without, windows, model, FewShot(k, weight=0))


def _reference_minutes(windows: WindowSet, target: Task | str, k: int) -> Iterator[Study]:
    """The minutes as the person's baseline."""
    tested = np.zeros(len(windows), np.bool_)
    tested[usable_rows(windows, target)] = True
    centred, known = reference_baseline(windows, tested, k, seed=0)
    centred = centred.take(np.flatnonzero(known))
    usable_rows(centred, target)
    for name, model in _models(target, CALIBRATED.__contains__):
        yield Study(target, Ingredient(name, BOTH, REFERENCE, k), centred, model, LeaveOnePersonOut())
