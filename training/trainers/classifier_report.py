"""What a training run found, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.trainers.comparison import BOTH, FACE_ONLY, POSTURE_ONLY

Report = Mapping[str, Any]

NAMES = {"statistics": "statistics pooling", "learned": "learned fusion"}
MOST_LEFT_OUT = 5
"""Reasons that are printed; metrics.json has them all."""


def as_text(report: Report) -> str:
    """The report of `training.trainers.classifier_trainer`, as metrics.json holds it."""
    held_out = ", ".join(report["held_out"]) or "nobody"
    lines = [
        f"{report['windows']} labelled windows of {report['people']} people; held out: {held_out}",
        *report["left_out"][:MOST_LEFT_OUT],
    ]
    if len(report["left_out"]) > MOST_LEFT_OUT:
        lines.append(f"and {len(report['left_out']) - MOST_LEFT_OUT} more reasons, see metrics.json")
    for name, task in report["tasks"].items():
        lines += ["", *_task(name, task)]
    where = f"bundle: {report['bundle']}" if report["bundle"] else "no bundle was written: no task has a live head"
    return "\n".join([*lines, "", f"{where}; run folder: {report['run']}; {report['seconds']} s"])


def comparison(report: Report) -> str:
    """Learned fusion against statistics pooling, one line for each task that was cross-validated."""
    lines = []
    for name, task in report["tasks"].items():
        if found := task.get("gain_of_learned_fusion"):
            both = {way: figures[BOTH]["brier"] for way, figures in task["cross_validation"].items()}
            better = "better" if found["interval"][0] > 0 else "not shown to be better"
            lines.append(
                f"{name}: learned fusion is {better} than statistics pooling: Brier score {both['learned']:.3f} "
                f"against {both['statistics']:.3f}, improvement {_gain(found)}"
                + ("" if task["live"] else "; it is not shown to be better than a constant forecast")
            )
    return "\n".join(lines)


def _task(name: str, task: Report) -> list[str]:
    state = f"live, {NAMES[task['fusion']]}" if task["live"] else "abstains"
    lines = [f"{name}: {state}"]
    if task["reason"]:
        lines.append(f"  {task['reason'].removeprefix(name + ': ')}")
    if "cross_validation" not in task:
        return lines
    lines.append(f"  cross-validated by person, {task['windows']} windows of {task['people']} people")
    lines.append(f"  {'':<38}balanced accuracy   Brier   calibration error")
    for way, shown in task["cross_validation"].items():
        for view in (BOTH, FACE_ONLY, POSTURE_ONLY):
            if figures := shown.get(view):
                row = (figures["balanced_accuracy"], figures["brier"], figures["ece"])
                lines.append(f"  {NAMES[way] + ', ' + view:<38}{row[0]:>17.3f}{row[1]:>8.3f}{row[2]:>20.3f}")
    for key, words in (("gain_of_learned_fusion", "learned fusion"), ("gain_of_baseline", "people's own baselines")):
        if key in task:
            lines.append(f"  gain in Brier score by {words}: {_gain(task[key])}")
    return [*lines, *_held_out(task)]


def _held_out(task: Report) -> list[str]:
    final = task["held_out"]
    if not final:
        return []
    known = {key: final[key] for key in ("balanced_accuracy", "auroc", "ece") if key in final}
    words = ", ".join(f"{key.replace('_', ' ')} {_figure(figure)}" for key, figure in known.items())
    return [f"  people held out ({final['windows']} windows of {final['people']}): {words}"]


def _gain(found: Report) -> str:
    low, high = found["interval"]
    return f"{found['improvement']:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"


def _figure(figure: Report) -> str:
    if figure["value"] is None:
        return "unknown"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
