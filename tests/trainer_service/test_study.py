from __future__ import annotations

from pathlib import Path

import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import STRESS
from tests.trainer_service.test_control_api import Desk, desk
from trainer_service.study import Study, load_study

__all__ = ["desk"]


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_what_a_study_file_says_and_what_holds_without_one(tmp_path: Path) -> None:
    text = 'purpose = "safety"\n' + "retention_days = 180\nshow_results = true\n[forms]\ngad7 = 7\n"
    assert load_study(written(tmp_path, text)) == Study("safety", 180, True, {"gad7": 7})
    assert load_study(written(tmp_path, "")) == Study() == Study("", None, False, {"phq8": 14.0, "gad7": 14.0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("retention = 3", "a study file knows purpose, retention_days, show_results, forms, not 'retention'"),
        ('purpose = "fun"', "purpose must be one of research, clinical, safety, not 'fun'"),
        ("purpose = 3", "purpose must be one of research, clinical, safety, not 3"),
        ("retention_days = 0", "retention_days must be a number of days above 0, not 0"),
        ("retention_days = inf", "retention_days must be a number of days above 0"),
        ("retention_days = true", "retention_days must be a number of days above 0"),
        ('show_results = "no"', "show_results must be true or false"),
        ("forms = 3", "forms must be a table"),
        ("[forms]\nphq9 = 14", "there is no form 'phq9'; there are phq8, gad7"),
        ("[forms]\nphq8 = -1", "phq8 must be a number of days above 0"),
        ("=", "is not TOML"),
    ],
)
def test_a_wrong_study_file_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_study(written(tmp_path, text))


def test_a_missing_study_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the study file .*absent\.toml"):
        load_study(tmp_path / "absent.toml")


def fill_in(desk: Desk, link: str, number: int) -> object:
    said = {"report_id": str(number), "instrument": "phq8", "answers": [3] * 8}
    return desk.call("self_report", token=link, **said)["result"]


def test_a_participant_sees_results_only_if_the_study_shows_them(desk: Desk) -> None:
    link = desk.call("make_link", participant="P07")["link"]
    assert fill_in(desk, link, 1) is None
    assert desk.call("answer_sheet", token=link)["results"] is None
    desk.api._study = Study(show_results=True)
    assert fill_in(desk, link, 2) == {"score": 24, "level": "severe"}
    assert desk.call("answer_sheet", token=link)["results"] == {"phq8": {"score": 24, "level": "severe"}}


def test_only_forms_are_asked_whose_task_is_configured(desk: Desk) -> None:
    link = desk.call("make_link", participant="P07")["link"]
    assert [form["instrument"] for form in desk.call("answer_sheet", token=link)["forms"]] == ["phq8", "gad7"]
    desk.api._study = Study(forms={"gad7": 7})
    assert [form["every_days"] for form in desk.call("answer_sheet", token=link)["forms"]] == [7]
    desk.api._tasks = {"stress": STRESS}
    assert desk.call("answer_sheet", token=link)["forms"] == []
