"""What may be said about the findings: verdicts and methods in sentences that can be cited, from the numbers alone.

A verdict is one of

    effect       an interval lies above chance, and exchanged blocks do not say otherwise
    weak         an interval lies above chance, but exchanged blocks score as high too often
    confounded   an interval lies above chance, and a control that looks at nobody does well too
    none         no interval lies above chance: no evidence, which is not evidence of none
    unknown      there is no interval

Of a scale, `chance` is predicting the mean of the people learned from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.evaluation.controls import PERSON
from training.evaluation.people_metrics import LEVEL
from training.evaluation.results import Figure, Ingredient, Result
from training.report.findings import REFERENCE, Findings, Topic, highest

SIGNIFICANT = 0.05
HEADLINES = {
    "task": {
        "effect": "Above chance",
        "weak": "Above chance by its interval only",
        "confounded": "Cannot be told from a control",
        "none": "No evidence of an effect",
        "unknown": "Cannot be told",
    },
    "scale": {
        "effect": "Gain over the mean",
        "none": "No evidence of a gain",
        "unknown": "Cannot be told",
    },
}

NAMES = {
    "auroc": "AUROC",
    "auroc_per_person": "AUROC within people",
    "balanced_accuracy_per_person": "balanced accuracy within people",
    "macro_f1": "macro F1",
    "ece": "calibration error",
    "fpr": "false positive rate",
    "fnr": "false negative rate",
    "ccc": "CCC",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "spearman_per_person": "Spearman within people",
    "mae": "mean absolute error",
    "mae_of_mean": "MAE of the mean",
    "mae_gain": "gain over the mean",
    "rmse": "RMSE",
    "rmse_of_mean": "RMSE of the mean",
}
"""Of metrics whose name in the JSON does not read well."""

FEATURES = {"face": "the face", "both": "face and posture"}

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Verdict:
    """What the results of one task or scale say.

    Attributes:
        level: see the module.
        headline: three or four words.
        sentences: each can be cited by itself.
    """

    level: str
    headline: str
    sentences: tuple[str, ...]


def verdict(topic: Topic) -> Verdict:
    """From the numbers of one task or scale."""
    if topic.best is None or not any(math.isfinite(r.metrics[topic.leading].low) for r in topic.candidates):
        said = f"{topic.name}: no ingredient has an interval, so nothing can be said."
        return Verdict("unknown", HEADLINES[topic.kind]["unknown"], (said,))
    level, sentences = (_of_task if topic.kind == "task" else _of_scale)(topic, topic.best)
    return Verdict(level, HEADLINES[topic.kind][level], tuple(sentences + _of_holdout(topic)))


def metric_name(metric: str) -> str:
    """For a reader."""
    return NAMES.get(metric, metric.replace("_", " "))


def number(value: float, digits: int = 2) -> str:
    """With a true minus sign, never a negative zero; a dash for what cannot be told."""
    if not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


def interval(figure: Figure) -> str:
    """Its two ends; nothing where there is none."""
    return f"{number(figure.low)} to {number(figure.high)}" if math.isfinite(figure.low) else ""


def estimate(figure: Figure) -> str:
    """Value and interval."""
    ends = interval(figure)
    return f"{number(figure.value)} ({ends})" if ends else number(figure.value)


def counted(count: float, noun: str, plural: str = "") -> str:
    """As `1 window` or `1,852 windows`."""
    return f"{count:,g} {noun}" if count == 1 else f"{count:,g} {plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """As `a, b and c`."""
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last


def described(ingredient: Ingredient) -> str:
    """As `logistic regression on posture (causal)`, to stand in a sentence."""
    if ingredient.control:
        return ingredient.model
    features = FEATURES.get(ingredient.features, ingredient.features)
    return f"{ingredient.model} on {features} ({ingredient.baseline})"


def calibration_words(topic: Topic) -> list[str]:
    """What minutes of the tested person changed, person by person."""
    said = []
    for with_minutes, without in topic.calibrated:
        metric = topic.metric if topic.metric in with_minutes.per_person else "spearman_per_person"
        own, other = (result.per_person.get(metric, {}) for result in (with_minutes, without))
        gains = [own[person] - other[person] for person in own if person in other]
        if not gains:
            continue
        ingredient = with_minutes.ingredient
        what = "reference" if ingredient.baseline == REFERENCE else "labelled"
        mean = sum(gains) / len(gains)
        said.append(
            f"{ingredient.shots} {what} minutes changed the {metric_name(metric)} of {ingredient.model} by "
            f"{number(mean)} on average; it rose in {sum(gain > 0 for gain in gains)} of "
            f"{counted(len(gains), 'person', 'people')}."
        )
    return said


def methods(findings: Findings) -> list[str]:
    """How the figures were made, as paragraphs for a methods section, from what was really run."""
    return [_data_and_split(findings), _ingredients(findings), _intervals(findings), *_tests(findings)]


def software(findings: Findings) -> str:
    """The program, to be cited."""
    return f"Sentry, version {findings.version} (sentry-train crossval), run on {findings.made:%Y-%m-%d}."


def references(findings: Findings) -> list[str]:
    """Where the methods that were used come from."""
    kinds = {result.kind for result in findings.results}
    used = [
        *([findings.source] if findings.source else []),
        "Nadeau C, Bengio Y (2003). Inference for the generalization error. Machine Learning 52, 239-281.",
        "Cameron AC, Gelbach JB, Miller DL (2008). Bootstrap-based improvements for inference with clustered errors. "
        "Review of Economics and Statistics 90, 414-427.",
    ]
    if "task" in kinds:
        used.append("Guo C, Pleiss G, Sun Y, Weinberger KQ (2017). On calibration of modern neural networks. ICML.")
    if "scale" in kinds:
        used.append(
            "Lin LI (1989). A concordance correlation coefficient to evaluate reproducibility. Biometrics 45, 255-268."
        )
    if findings.permuted:
        used.append(
            "Phipson B, Smyth GK (2010). Permutation p-values should never be zero. Statistical Applications in "
            "Genetics and Molecular Biology 9, 39."
        )
    return used


def _of_task(topic: Topic, best: Result) -> tuple[str, list[str]]:
    count, above = len(topic.candidates), topic.above(topic.metric, topic.chance)
    figure, name = best.metrics[topic.metric], metric_name(topic.metric)
    reached = f"{described(best.ingredient)}, reached {_cited(figure)}"
    if above:
        said = [
            f"{topic.name}: {_share(len(above), count)} an interval of {name} above chance (0.50) in people the "
            f"model had never met; the highest, {reached}.",
            *_by_luck(count),
        ]
    else:
        ends = (result.metrics[topic.metric].high for result in topic.candidates)
        high = max(end for end in ends if math.isfinite(end))
        said = [
            f"{topic.name}: no evidence of an effect in people the model had never met. {_none_of(count)} an interval "
            f"of {name} above chance (0.50); the highest, {reached}.",
            f"This does not show that there is none: with {counted(figure.n, 'person', 'people')}, an {name} of up to "
            f"{number(high)} remains compatible with these data.",
        ]
    level = _level(topic, bool(above))
    return level, [*said, *_below(topic), *_of_controls(topic, level), *_of_permuted(topic)]


def _level(topic: Topic, above: bool) -> str:
    if not above:
        return "none"
    if topic.traps:
        return "confounded"
    chances = [test["p"] for test in topic.permuted]
    return "weak" if chances and min(chances) > SIGNIFICANT else "effect"


def _of_scale(topic: Topic, best: Result) -> tuple[str, list[str]]:
    count, gained = len(topic.candidates), topic.above(topic.leading, 0.0)
    error = (
        f"the largest, of {described(best.ingredient)}, is {_cited(best.metrics[topic.leading])}: a mean absolute "
        f"error of {_value(best, 'mae')} where the mean has {_value(best, 'mae_of_mean')}"
    )
    if gained:
        said = [
            f"{topic.name}: {_share(len(gained), count)} a gain over predicting the mean of the other people whose "
            f"interval lies above 0; {error}.",
            *_by_luck(count),
        ]
    else:
        said = [
            f"{topic.name}: no evidence that the rating of a stranger is predicted better than by the mean of the "
            f"other people. {_none_of(count)} a gain whose interval lies above 0; {error}.",
            "This does not show that there is nothing to predict.",
        ]
    for metric in ("ccc", "spearman_per_person"):
        if top := highest(topic.candidates, metric):
            share = _share(len(topic.above(metric, 0.0)), count)
            said.append(
                f"{metric_name(metric)}: {share} an interval above 0; the highest, {described(top.ingredient)}, "
                f"reached {_cited(top.metrics[metric])}."
            )
    if control := topic.best_control:
        said.append(
            f"Of the controls, which look at nobody, the {control.ingredient} has the largest gain, "
            f"{_cited(control.metrics[topic.leading])}."
        )
    return "effect" if gained else "none", said


def _of_holdout(topic: Topic) -> list[str]:
    return [
        f"On the holdout, people in no other figure and tested once, {described(result.ingredient)} reached "
        f"{metric_name(topic.metric)} {_cited(result.metrics[topic.metric])}."
        for result in topic.held_out
    ]


def _of_controls(topic: Topic, level: str) -> list[str]:
    control = topic.best_control
    if control is None or topic.best is None:
        return []
    score, best = control.metrics[topic.metric].value, topic.best.metrics[topic.metric].value
    told = f"The {control.ingredient}, which looks at nobody, reached {number(score)}"
    if level == "confounded":
        others = listed([f"the {trap.control}" for trap in topic.traps])
        return [f"The label can be told from {others} as well, so these scores are no evidence of {topic.name} itself."]
    if score >= best:
        return [f"{told}, no less than the best ingredient."]
    return [f"Of the controls, the highest is lower: {told[0].lower()}{told[1:]}.", *_of_low_controls(topic)]


def _of_low_controls(topic: Topic) -> list[str]:
    low = [f"the {r.ingredient} {number(r.metrics[topic.metric].value)}" for r in topic.controls
           if r.metrics[topic.metric].high < topic.chance]  # fmt: skip
    if not low:
        return []
    return [
        f"Far below chance: {listed(low)}. Leaving people out does that where classes and order are nearly balanced, "
        "since the others lean the other way; it says that this control helps nobody here."
    ]


def _of_permuted(topic: Topic) -> list[str]:
    if not topic.permuted:
        return []
    parts = [f"{test['features']} p = {number(test['p'], 3)}" for test in topic.permuted]
    first = topic.permuted[0]
    return [
        f"Against {counted(first['permutations'], 'random order')} of each person's whole blocks, {first['model']} "
        f"scored: {', '.join(parts)}{'; not corrected for several tests' if len(parts) > 1 else ''}."
    ]


def _below(topic: Topic) -> list[str]:
    below = len(topic.below(topic.metric, topic.chance))
    if not below:
        return []
    return [
        f"Below chance: {_share(below, len(topic.candidates))} an interval there. That is no effect the other way "
        "round: where the blocks are few and balanced, the people left over lean away from the one left out."
    ]


def _by_luck(count: int) -> list[str]:
    """How surprising that many would be."""
    if count < 2:
        return []
    expected = count * (1 - LEVEL) / 2
    return [
        f"With {count} ingredients compared and no effect, about {number(expected, 1)} such intervals are expected by "
        "luck, more or fewer together because the ingredients share their data."
    ]


def _share(some: int, count: int) -> str:
    if count == 1:
        return "the one ingredient has" if some else "the one ingredient does not have"
    return f"{some} of {count} ingredients {'has' if some == 1 else 'have'}"


def _none_of(count: int) -> str:
    return "The one ingredient does not have" if count == 1 else f"None of the {count} ingredients compared has"


def _cited(figure: Figure) -> str:
    people = counted(figure.n, "person", "people")
    ends = interval(figure)
    return f"{number(figure.value)} (95 % interval {ends}, {people})" if ends else f"{number(figure.value)} ({people})"


def _value(result: Result, metric: str) -> str:
    return number(result.metrics[metric].value)


def _data_and_split(findings: Findings) -> str:
    protocols = list(dict.fromkeys(r.protocol for r in findings.results if r.ingredient.model != PERSON))
    seeds = "once (seed 0)" if findings.seeds == 1 else f"{findings.seeds} times (seeds 0 to {findings.seeds - 1})"
    return (
        f"Data: {findings.title}, {counted(findings.people, 'person', 'people')} and "
        f"{counted(findings.windows, 'window')}. Splits: {'; '.join(protocols)}; all was repeated {seeds}. No model "
        "had seen the person it was tested on, but for the minutes that an ingredient names, and what a control is "
        "said to know; windows of one block never stood on both sides of a split."
    ).replace("was repeated once", "was run once")


def _ingredients(findings: Findings) -> str:
    used = [r.ingredient for r in findings.results if not r.ingredient.control and not r.ingredient.shots]
    models, features, baselines = (
        listed(list(dict.fromkeys(getattr(ingredient, name) for ingredient in used)))
        for name in ("model", "features", "baseline")
    )
    shots = sorted({r.ingredient.shots for r in findings.results} - {0})
    minutes = f" Minutes of the tested person: {listed([str(k) for k in shots])}." if shots else ""
    meaning = {
        "raw": "raw: all people on one scale",
        "causal": "causal: relative to what was seen of the person before",
    }
    meant = "; ".join(text for name, text in meaning.items() if name in baselines)
    controls = list(dict.fromkeys(r.ingredient.model for r in findings.results if r.ingredient.features == "none"))
    beside = f" Controls: {listed(controls)}." if controls else ""
    held_out = any("holdout of" in result.protocol for result in findings.results)
    chosen = "none was chosen by these figures" + (", but the one tested on the holdout" if held_out else "")
    return (
        f"Models: {models}. Features: {features}. Baseline: {baselines} ({meant}).{minutes}{beside} All "
        f"ingredients that were compared are reported, and {chosen}. Whoever quotes the highest has chosen it: quote "
        "the number compared beside it."
    )


def _intervals(findings: Findings) -> str:
    kinds = {result.kind for result in findings.results}
    scales = " Ratings and predictions of a scale were averaged over each block." if "scale" in kinds else ""
    return (
        "Intervals are 95 % over people, never over windows: Student's t on the mean over people, or a bootstrap of "
        "people for pooled metrics (Cameron et al. 2008), widened for what models share that learn from overlapping "
        f"people (Nadeau and Bengio 2003). They are not corrected for the number of comparisons.{scales}"
    )


def _tests(findings: Findings) -> list[str]:
    if not findings.permuted:
        return ["No permutation test was run."]
    return [
        "p values: labels of whole blocks exchanged within each person, "
        f"{counted(findings.permuted[0]['permutations'], 'random order')} and the observed one counted with them "
        "(Phipson and Smyth 2010), one-sided, not corrected for the number of tests."
    ]
