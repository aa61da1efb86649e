"""The tables of docs/swell-kw.md say what a run found, beside what it is to be compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.swell import main

TASK = ("auroc_per_person", "auroc", "balanced_accuracy")
SCALE = ("ccc", "spearman_per_person", "mae", "mae_gain")


def result(value: float | None, model: str = "logistic regression", **differing: Any) -> dict[str, Any]:
    """One result with `value` for each of its metrics."""
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    kind = differing.get("kind", "task")
    named = {"task": "stress", "kind": kind, "model": model, "features": "both", "baseline": "causal", "shots": 0}
    figure = {"value": value, "low": low, "high": high, "n": 17}
    metrics = dict.fromkeys(TASK if kind == "task" else SCALE, figure)
    return {**named, "control": False, "windows": 900, "metrics": metrics} | differing


def run(*results: dict[str, Any]) -> dict[str, Any]:
    test = {"task": "stress", "model": "logistic regression", "features": "both"}
    scores = {"permutations": 99, "observed": 0.56, "permuted_mean": 0.5, "p": 0.31}
    return {"results": results, "permuted_blocks": [test | scores], "not_measured": {"mood": "no window has a label"}}


def printed(capsys: pytest.CaptureFixture[str], folder: Path, *runs: dict[str, Any]) -> str:
    paths = [folder / f"{number}.json" for number in range(len(runs))]
    for path, found in zip(paths, runs, strict=True):
        path.write_text(json.dumps(found))
    assert main(["--from", *map(str, paths)]) == 0
    return capsys.readouterr().out


def test_raw_stands_beside_causal_and_the_control_beside_the_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, causal = result(0.5, baseline="raw"), result(0.55)
    person = result(None, "person alone", features="none", baseline="none", control=True)
    text = printed(capsys, tmp_path, run(raw, causal, person))
    assert "| both | logistic regression | 900 | 0.50 (0.40 to 0.60, 17) | 0.55 (0.45 to 0.65, 17) |" in text
    assert "| stress | person alone | - | - | - |" in text
    assert "| stress | logistic regression | both | 0.56 | 0.50 | 0.31 | 99 |" in text
    assert "Not measured: mood: no window has a label" in text


def test_minutes_of_the_person_stand_beside_the_same_tests_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = result(0.6, shots=5), result(0.4, "logistic regression without the 5 minutes", control=True)
    reference = result(0.7, baseline="reference", shots=10)
    text = printed(capsys, tmp_path, run(result(0.55), *labelled, reference))
    with_labels, as_baseline = (line for line in text.splitlines() if ", labelled |" in line or "as the base" in line)
    assert with_labels.index("0.60 (0.50") < with_labels.index("0.40 (0.30")
    assert as_baseline.index("0.70 (0.60") < as_baseline.index("0.55 (0.45")


def test_several_runs_make_one_set_of_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale = result(0.1, "ridge regression", task="Stress", kind="scale")
    text = printed(capsys, tmp_path, run(result(0.5)), run(scale))
    assert text.count("## Every ingredient") == 1
    assert text.index("### stress") < text.index("### Stress")
    assert "CCC, causal" in text
    assert "| both | ridge regression | 900 | - | 0.10 (0.00 to 0.20, 17)" in text


@pytest.mark.parametrize("content", [None, "Traceback", '{"results": []}'])
def test_what_is_no_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    assert main(["--from", str(path)]) == 2
    assert "is no output of sentry-train crossval --json" in capsys.readouterr().err
