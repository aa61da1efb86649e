"""The page of a report, and its pictures: what is drawn for each task or scale, and the words beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sentry_proto.errors import InputError
from training.evaluation.results import Result
from training.report import wording
from training.report.findings import Findings, Topic, highest
from training.report.folder import GENERATOR, PICTURES, write_files
from training.report.pictures import Panel, Row, confusion, forest, people_marks, reliability_curve, strip
from training.report.svg import DARK, LIGHT, standalone

FEATURES = {"face": "Face", "posture": "Posture", "both": "Face and posture"}
WITHIN = {"task": "auroc_per_person", "scale": "spearman_per_person"}
"""The metric that is drawn for each person."""

SHOWN = {"task": (0.25, 0.75), "scale": (-0.5, 0.5)}
"""What an axis of scores holds at the least, so that small differences look small."""

EXAMPLES = 3
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """One figure of the page.

    Attributes:
        title: above it.
        caption: how to read it.
        svg: for the page.
        file: its name as a file of its own.
        narrow: whether two of them fit side by side.
    """

    title: str
    caption: str
    svg: str
    file: str
    narrow: bool = False


def write_report(folder: Path, findings: Findings) -> Path:
    """Write the page and its pictures.

    Args:
        folder: as `training.report.folder.prepare_folder` left it.
        findings: what was found.

    Returns:
        The path of the page.

    Raises:
        InputError: there are no results.
        StorageError: the folder cannot be written.
    """
    if not findings.results:
        raise InputError("there is no result to report")
    sections = [_section(place, topic) for place, topic in enumerate(findings.topics(), 1)]
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"estimate": wording.estimate, "interval": wording.interval, "number": wording.number,
                            "metric": wording.metric_name, "finite": math.isfinite}  # fmt: skip
    page = environment.get_template("page.html.j2").render(
        findings=findings,
        generator=GENERATOR,
        style=stylesheet(),
        sections=sections,
        summary=_summary(findings.topics()),
        exclusions=[_exclusion(reason, places) for reason, places in findings.exclusions.counts.items()],
        methods=wording.methods(findings),
        software=wording.software(findings),
        references=wording.references(findings),
        counted=wording.counted,
        described=wording.described,
        pictures=PICTURES,
    )
    drawn = {picture.file: standalone(picture.svg) for section in sections for picture in section["drawn"]}
    return write_files(folder, page, drawn)


def stylesheet() -> str:
    """Of every page of ours, in light, in dark and on paper."""
    light, dark = (";".join(f"--{name}:{colour}" for name, colour in theme.items()) for theme in (LIGHT, DARK))
    return (HERE / "page.css").read_text(encoding="utf-8").replace("/*LIGHT*/", light).replace("/*DARK*/", dark)


def _summary(topics: Sequence[Topic]) -> list[dict[str, Any]]:
    """One line per task or scale; the strips of all tasks share an axis, and so do those of all scales."""
    gains = [topic.best.metrics[topic.leading] for topic in topics if topic.best and topic.kind == "scale"]
    reach = max((abs(end) for gain in gains for end in (gain.low, gain.high) if math.isfinite(end)), default=1.0)
    shown = {"task": (0.0, 1.0), "scale": (-reach, reach)}
    lines = []
    for place, topic in enumerate(topics, 1):
        best, control = topic.best, topic.best_control
        figure = best.metrics[topic.leading] if best else None
        lines.append(
            {
                "id": _id(place),
                "topic": topic,
                "verdict": wording.verdict(topic),
                "best": best,
                "figure": figure,
                "strip": strip(figure, topic.chance, shown[topic.kind]) if figure else "",
                "control": control.metrics[topic.leading] if control else None,
                "p": min((test["p"] for test in topic.permuted), default=None),
            }
        )
    return lines


def _section(place: int, topic: Topic) -> dict[str, Any]:
    stem = f"{place:02d}-{re.sub(r'[^a-z0-9]+', '-', topic.name.lower()).strip('-')}"
    drawn = [
        picture
        for draw in (_scores, _errors, _people, _confusion, _reliability, _alerts, _calibration)
        if (picture := draw(topic, stem))
    ]
    metrics = list(dict.fromkeys(name for result in topic.results for name in result.metrics))
    return {
        "id": _id(place),
        "topic": topic,
        "verdict": wording.verdict(topic),
        "drawn": drawn,
        "gained": wording.calibration_words(topic),
        "metrics": metrics,
    }


def _scores(topic: Topic, stem: str) -> Picture:
    shown, name = SHOWN[topic.kind], wording.metric_name(topic.metric)
    panels = [Panel(topic.metric, topic.chance, shown)]
    if topic.kind == "scale":
        panels = [Panel("ccc", 0.0, shown), Panel("spearman_per_person", 0.0, shown)]
        name = "agreement with the ratings"
    groups = _by_features(topic) | {
        "Holdout, tested once": [Row(_label(result, topic), result) for result in topic.held_out],
        "Controls, which look at nobody": [Row(str(r.ingredient), r, control=True) for r in topic.controls],
        "Labels of the person's other blocks": [Row(str(r.ingredient), r, control=True) for r in topic.acquainted],
    }
    hollow = " Hollow: raw features, without a baseline of the person." if _several_baselines(topic) else ""
    caption = (
        f"Dot: estimate. Bar: 95 % interval over people. Dashed: {'chance' if topic.kind == 'task' else 'no relation'}."
    )
    controls = " Grey diamonds: controls, in place of a model." if topic.controls else ""
    if topic.acquainted:
        controls += (
            " The last knows labels of the tested person; it is no score to reach, but how far they go with people."
        )
    return Picture(
        f"Every ingredient: {name}", caption + hollow + controls, forest(groups, panels), f"{stem}-scores.svg"
    )


def _errors(topic: Topic, stem: str) -> Picture | None:
    if topic.kind != "scale":
        return None
    panels = [Panel("mae"), Panel("mae_gain", 0.0, title="gain over predicting the mean")]
    caption = (
        "In units of the scale. Gain: how much lower the error is than that of predicting the mean of the people "
        "learned from; left of the dashed line, knowing nothing does better."
    )
    return Picture("Every ingredient: error", caption, forest(_by_features(topic), panels), f"{stem}-error.svg")


def _people(topic: Topic, stem: str) -> Picture | None:
    """The best candidate of each set of features, person by person."""
    metric, series = WITHIN[topic.kind], {}
    for features in FEATURES:
        best = highest([r for r in topic.candidates if r.ingredient.features == features], metric)
        if best and best.per_person.get(metric):
            series[str(best.ingredient)] = best.per_person[metric]
    if not series:
        return None
    caption = (
        f"{wording.metric_name(metric)} of each person who can be measured, by the ingredient that is highest for each "
        "set of features; chosen after the fact, so look at the spread, not at the height. Dashed: chance."
    )
    return Picture("Person by person", caption, people_marks(series, metric, topic.chance), f"{stem}-people.svg")


def _confusion(topic: Topic, stem: str) -> Picture | None:
    best = topic.best
    if best is None or best.confusion is None:
        return None
    caption = f"{best.ingredient}. Share of each label's windows, and how many; rows are labels."
    drawn = confusion(best.confusion.tolist(), best.classes)
    return Picture("Confusion", caption, drawn, f"{stem}-confusion.svg", narrow=True)


def _reliability(topic: Topic, stem: str) -> Picture | None:
    best = topic.best
    if best is None or best.reliability is None or not best.reliability.count.any():
        return None
    error = wording.estimate(best.metrics["ece"])
    caption = (
        f"{best.ingredient}. On the dashed line, confidence is as often right as it says. Calibration error {error}."
    )
    return Picture("Reliability", caption, reliability_curve(best.reliability), f"{stem}-reliability.svg", narrow=True)


def _alerts(topic: Topic, stem: str) -> Picture | None:
    rule = topic.task.alert if topic.task else None
    if rule is None:
        return None
    panels = [Panel(name, shown=(0.0, 1.0)) for name in ("fpr", "fnr")]
    event = wording.listed(rule.classes)
    caption = (
        f"An alert is raised where the probability of {event} is at least {wording.number(rule.threshold)}. False "
        f"positive: an alert in a window that is not labelled {event}; false negative: none in one that is. How long "
        "it must last is not applied."
    )
    return Picture("The alert rule", caption, forest(_by_features(topic), panels), f"{stem}-alerts.svg")


def _calibration(topic: Topic, stem: str) -> Picture | None:
    groups: dict[str, list[Row]] = {}
    for with_minutes, without in topic.calibrated:
        ingredient = with_minutes.ingredient
        rows = groups.setdefault(f"{ingredient.shots} minutes of the person", [])
        rows += [
            Row(f"{ingredient.model}, without", without, hollow=True),
            Row(f"{ingredient.model}, with", with_minutes),
        ]
    if not groups:
        return None
    caption = (
        "Minutes are drawn from other blocks than those tested. Labelled minutes are compared on the same windows; "
        "reference minutes, which stand for the person's own middle, with the causal baseline."
    )
    drawn = forest(groups, [Panel(topic.metric, topic.chance, SHOWN[topic.kind])])
    return Picture("What minutes of the person add", caption, drawn, f"{stem}-minutes.svg")


def _by_features(topic: Topic) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    order = {result.ingredient.model: place for place, result in reversed(list(enumerate(topic.candidates)))}
    for result in sorted(topic.candidates, key=lambda result: order[result.ingredient.model]):
        features = result.ingredient.features
        raw = result.ingredient.baseline == "raw"
        groups.setdefault(features, []).append(Row(_label(result, topic, short=True), result, hollow=raw))
    known = [name for name in FEATURES if name in groups]
    return {FEATURES.get(name, name): groups[name] for name in dict.fromkeys([*known, *groups])}


def _label(result: Result, topic: Topic, short: bool = False) -> str:
    if not short:
        return str(result.ingredient)
    baseline = f", {result.ingredient.baseline}" if _several_baselines(topic) else ""
    return f"{result.ingredient.model}{baseline}"


def _several_baselines(topic: Topic) -> bool:
    return len({result.ingredient.baseline for result in topic.candidates}) > 1


def _exclusion(reason: str, places: Mapping[str, int]) -> dict[str, str]:
    counts, names = sorted(places.values()), list(places)
    each = f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return {
        "reason": reason,
        "total": f"{sum(counts):,}",
        "places": str(len(names)),
        "each": each,
        "names": ", ".join(names[:EXAMPLES]) + more,
    }


def _id(place: int) -> str:
    return f"topic-{place}"
