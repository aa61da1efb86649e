"""The report of a validation: whole, honest, safe to open, and in nobody's way."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from sentry_proto.errors import InputError, StorageError
from sentry_proto.tasks import AlertRule, Task
from training.commands.crossval_plan import CAUSAL, PROTOCOLS, make_plan
from training.datasets import simulation
from training.datasets.exclusions import Exclusions
from training.evaluation.calibration import Reliability
from training.evaluation.controls import Trap, traps
from training.evaluation.results import Figure, Ingredient, Result
from training.evaluation.validation import validate
from training.report.findings import Findings
from training.report.folder import prepare_folder
from training.report.page import write_report
from training.report.svg import axis_over
from training.report.wording import methods, number, verdict

PEOPLE = ("P01", "P02", "P<03>")
LOSO = "leave one person out"
STRESS = Task("stress", "binary", ("calm", "stressed"), AlertRule(("stressed",), 0.6, 0.5))
TASK = Result(
    task="stress",
    kind="task",
    ingredient=Ingredient("logistic regression", "posture"),
    protocol=LOSO,
    seeds=2,
    people=3,
    windows=120,
    metrics={
        "auroc_per_person": Figure(0.61, 0.53, 0.69, 2),
        "auroc": Figure(0.585, 0.44, 0.73, 3),
        "ece": Figure(0.12, math.nan, math.nan, 1),
        "fpr": Figure(0.31, 0.2, 0.42, 3),
        "fnr": Figure(math.nan, math.nan, math.nan, 0),
    },
    per_person={"auroc_per_person": dict(zip(PEOPLE, (0.72, 0.41, 0.66), strict=True))},
    classes=("calm", "stressed"),
    confusion=np.array([[41.0, 19.0], [22.5, 37.5]]),
    reliability=Reliability(np.array([math.nan, 0.6, 0.9]), np.array([math.nan, 0.5, 0.7]), np.array([0, 90, 30])),
)
CONTROL = replace(
    TASK,
    ingredient=Ingredient("time in the session alone", "none", "none", control=True),
    metrics={**TASK.metrics, "auroc_per_person": Figure(0.97, 0.91, 1.0, 3)},
)
AT_CHANCE = replace(TASK, metrics={**TASK.metrics, "auroc_per_person": Figure(0.55, 0.44, 0.66, 3)})
WITH = replace(TASK, ingredient=replace(TASK.ingredient, features="both", shots=5))
WITHOUT = replace(
    TASK,
    ingredient=Ingredient("logistic regression without the 5 minutes", control=True),
    per_person={"auroc_per_person": dict(zip(PEOPLE, (0.62, 0.51, 0.66), strict=True))},
)
SCALE = Result(
    task="Mental effort",
    kind="scale",
    ingredient=Ingredient("ridge regression"),
    protocol=LOSO,
    seeds=2,
    people=3,
    windows=118,
    metrics={
        "ccc": Figure(-0.17, -0.42, 0.08, 3),
        "spearman_per_person": Figure(0.2, -0.5, 0.9, 2),
        "mae": Figure(2.31, 1.63, 2.99, 3),
        "mae_of_mean": Figure(2.24, 1.72, 2.76, 3),
        "mae_gain": Figure(-0.07, -0.2, 0.06, 3),
    },
    per_person={"spearman_per_person": dict(zip(PEOPLE, (0.5, -1.0, 0.33), strict=True))},
)
CLOCK_TRAP = Trap("time in the session alone", Figure(0.97, 0.91, 1.0, 3), "stress can be told from the clock.")
PERMUTED = {
    "task": "stress", "model": "logistic regression", "features": "posture", "permutations": 99,
    "observed": 0.61, "permuted_mean": 0.502, "p": 0.21,
}  # fmt: skip
FINDINGS = Findings(
    dataset="sessions",
    title="A study",
    command="sentry-train crossval --data study",
    version="9.8.7",
    made=datetime(2026, 3, 4, tzinfo=UTC),
    protocol=LOSO,
    seeds=2,
    people=3,
    windows=120,
    results=(TASK, CONTROL, WITH, WITHOUT, SCALE),
    tasks={"stress": STRESS},
    exclusions=Exclusions({"minutes of relaxation": {"P01": 18, "P02": 17}}),
    omitted={"anxiety": "no window has a label"},
    permuted=(PERMUTED,),
    traps={"stress": (CLOCK_TRAP,)},
)


class Page(HTMLParser):
    """Tags in the order they come, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        self.targets += [value for key in ("href", "src") if (value := named.get(key))]
        self.ids |= {value for key, value in attrs if key == "id" and value}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def written(folder: Path, findings: Findings = FINDINGS) -> str:
    return write_report(folder, findings).read_text(encoding="utf-8")


def said_of(*results: Result, **other: Any) -> tuple[str, str]:
    """Level and sentences of the verdict on the first task or scale."""
    found = verdict(replace(FINDINGS, **{"results": results, "permuted": (), "traps": {}, **other}).topics()[0])
    return found.level, " ".join(found.sentences)


def test_every_figure_is_on_the_page(tmp_path: Path) -> None:
    text = unescape(written(tmp_path / "new"))
    for result in FINDINGS.results:
        assert str(result.ingredient) in text
        for figure in result.metrics.values():
            if math.isfinite(figure.value):
                assert f">{number(figure.value)}<" in text
            if math.isfinite(figure.low):
                assert f"{number(figure.low)} to {number(figure.high)}" in text
        for person, value in next(iter(result.per_person.values())).items():
            if not result.ingredient.control and not result.ingredient.shots:
                assert f"{person}, {result.ingredient}: {number(value)}</title>" in text
    assert "nan" not in text
    for words in (
        "n = 2",
        "118 windows",
        "9.8.7",
        "2026-03-04",
        "0.210",
        "at least 0.60",
        ">41<",
        ">22.5<",
        "90 windows",
    ):
        assert words in text, words


def test_what_was_left_out_not_measured_and_to_be_wary_of(tmp_path: Path) -> None:
    text = written(tmp_path)
    assert (
        text.index("Read this first") < text.index("stress can be told from the clock.") < text.index(">In short</h2>")
    )
    for cell in ("minutes of relaxation", ">35<", "17 to 18", "P01, P02", "anxiety", "no window has a label"):
        assert cell in text, cell
    assert "Read this first" not in written(tmp_path, replace(FINDINGS, traps={}))
    assert "Nothing was left out" in written(tmp_path, replace(FINDINGS, exclusions=Exclusions()))


def test_the_page_is_well_formed_and_needs_nothing_but_its_pictures(tmp_path: Path) -> None:
    text = written(tmp_path)
    page = Page(text)
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import", text)
    for target in page.targets:
        assert target[1:] in page.ids if target.startswith("#") else (tmp_path / target).is_file()


def test_each_picture_is_a_file_that_stands_alone(tmp_path: Path) -> None:
    written(tmp_path)
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == [
        f"{name}.svg"
        for name in (
            *(f"01-stress-{what}" for what in ("alerts", "confusion", "minutes", "people", "reliability", "scores")),
            *(f"02-mental-effort-{what}" for what in ("error", "people", "scores")),
        )
    ]
    for path in pictures:
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text


def test_names_are_text_never_markup(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    result = replace(
        TASK,
        task=evil,
        classes=(evil, "b"),
        protocol=evil,
        ingredient=Ingredient(evil, evil),
        per_person={"auroc_per_person": {evil: 0.7}},
        metrics={**TASK.metrics, evil: Figure(0.5, 0.4, 0.6, 3)},
    )
    findings = replace(
        FINDINGS, title=evil, command=evil, protocol=evil, results=[result], omitted={evil: evil}, permuted=(),
        exclusions=Exclusions({evil: {evil: 1}}), traps={evil: (Trap(evil, TASK.metrics["auroc"], evil),)},
    )  # fmt: skip
    text = written(tmp_path, findings)
    assert "script" not in Page(text).tags
    assert "&lt;script&gt;" in text


NOT_NONE = "This does not show that there is none"
VERDICTS: dict[str, tuple[tuple[Result, ...], dict[str, Any], str, str]] = {
    "above chance": ((TASK,), {}, "effect", "the one ingredient has an interval"),
    "one of two above": ((TASK, AT_CHANCE), {}, "effect", "1 of 2 ingredients has an interval"),
    "by luck": ((TASK, AT_CHANCE), {}, "effect", "about 0.1 such intervals are expected by luck"),
    "holds chance": ((AT_CHANCE,), {}, "none", "of up to 0.66 remains compatible"),
    "never proves none": ((AT_CHANCE,), {}, "none", NOT_NONE),
    "blocks say otherwise": ((TASK,), {"permuted": (PERMUTED,)}, "weak", "posture p = 0.210"),
    "blocks agree": ((TASK,), {"permuted": ({**PERMUTED, "p": 0.01},)}, "effect", "posture p = 0.010"),
    "trap": ((TASK, CONTROL), {"traps": {"stress": (CLOCK_TRAP,)}}, "confounded", "no evidence of stress itself"),
    "control as high": ((AT_CHANCE, CONTROL), {}, "none", "reached 0.97, no less than the best ingredient"),
    "scale": ((SCALE,), {}, "none", "no evidence that the rating of a stranger is predicted better"),
    "scale with a gain": (
        (replace(SCALE, metrics={**SCALE.metrics, "mae_gain": Figure(0.3, 0.1, 0.5, 3)}),), {}, "effect", "0.30 (95 %",
    ),
    "scale beside a control": (
        (SCALE, replace(SCALE, ingredient=CONTROL.ingredient)), {}, "none", "session alone has the largest gain",
    ),
    "no interval": (
        (replace(TASK, metrics={**TASK.metrics, "auroc_per_person": Figure(0.9, math.nan, math.nan, 1)}),), {},
        "unknown", "nothing can be said",
    ),
    "below chance": (
        (replace(TASK, metrics={**TASK.metrics, "auroc_per_person": Figure(0.3, 0.2, 0.4, 3)}),), {}, "none",
        "no effect the other way round",
    ),
    "holdout": (
        (TASK, replace(TASK, protocol="holdout of 20% of the people")), {}, "effect", "On the holdout, people in no",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_says_what_the_numbers_say(name: str) -> None:
    results, other, level, words = VERDICTS[name]
    assert said_of(*results, **other)[0] == level
    assert words in said_of(*results, **other)[1]


def test_a_control_that_knows_the_person_is_no_score_to_reach() -> None:
    person = replace(CONTROL, protocol="other", ingredient=replace(CONTROL.ingredient, model="person alone"))
    (topic,) = replace(FINDINGS, results=(AT_CHANCE, person)).topics()
    assert (topic.best_control, topic.acquainted) == (None, [person])


def test_minutes_of_the_person_are_compared_person_by_person(tmp_path: Path) -> None:
    text = unescape(written(tmp_path))
    assert "5 labelled minutes changed the AUROC within people of logistic regression by 0.00 on average" in text
    assert "it rose in 1 of 3 people" in text


def test_methods_say_what_was_run() -> None:
    text = " ".join(methods(FINDINGS))
    for words in (
        "3 people and 120 windows",
        "2 times (seeds 0 to 1)",
        LOSO,
        "logistic regression",
        "99 random orders and the observed one",
    ):
        assert words in text, words
    assert "No permutation test" in " ".join(methods(replace(FINDINGS, permuted=(), seeds=1)))


@pytest.mark.parametrize(
    ("effect", "order", "level"),
    [(1.5, "counterbalanced", "effect"), (0.0, "counterbalanced", "none"), (1.5, "confounded", "confounded")],
)
def test_a_simulated_study_is_judged_by_what_was_put_in(effect: float, order: str, level: str) -> None:
    windows = simulation.SimulatedStudy(people=10, effect=effect, affected=6, order=order).draw(seed=3)
    protocol = PROTOCOLS["kfold"]
    plan = make_plan({CAUSAL: windows}, [simulation.TASK], protocol, quick=True)
    found = replace(
        FINDINGS, protocol=str(protocol), results=validate(plan.studies, workers=1), permuted=(),
        traps={simulation.TASK.name: traps(windows, simulation.TASK, protocol)},
    )  # fmt: skip
    (topic,) = found.topics()
    assert verdict(topic).level == level


def test_an_older_report_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    prepare_folder(folder)
    written(folder)
    prepare_folder(folder)
    written(folder, replace(FINDINGS, results=[SCALE], permuted=()))
    assert sorted(path.name for path in (folder / "pictures").iterdir())[0] == "01-mental-effort-error.svg"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "index.html").write_text("<!doctype html><title>my thesis</title>")
    with pytest.raises(InputError, match="holds other files"):
        prepare_folder(foreign)
    assert "my thesis" in (foreign / "index.html").read_text()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        prepare_folder(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot write"):
        prepare_folder(tmp_path / "file" / "below")


def test_no_result_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no result to report"):
        written(tmp_path / "empty", replace(FINDINGS, results=()))
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("values", [(0.25, 0.75), (-1.0, 0.1), (0.0, 3.7), (0.5, 0.5), (0.0, 1234.0)])
def test_an_axis_ends_on_ticks_and_holds_its_values(values: tuple[float, float]) -> None:
    axis = axis_over(values).over(0, 100)
    assert axis.low <= values[0] <= values[1] <= axis.high
    assert (axis.at(axis.low), axis.at(axis.high)) == (0, 100)
    assert 2 <= len(axis.ticks()) <= 8


@pytest.mark.parametrize(("value", "text"), [(-0.004, "0.00"), (-0.5, "\N{MINUS SIGN}0.50"), (math.nan, "\N{EN DASH}")])
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text
