from __future__ import annotations

import re
import time

from streamlit.testing.v1 import AppTest

from sentry_proto.questionnaires import GAD7, PHQ8
from tests.dashboard.conftest import open_page, words
from tests.dashboard.fake_trainer import FakeTrainer
from tests.dashboard.test_pages import press


def report(created: float, **said: object) -> dict[str, object]:
    blank = {"task": None, "value": None, "instrument": None, "answers": None, "score": None}
    return {"report_id": str(created), "participant": "P07", "created": created, **blank, **said}


def fill_in(test: AppTest, answer: int) -> AppTest:
    for item in range(len(test.radio)):
        test.radio[item].set_value(answer).run()
    return test


def test_whoever_is_not_known_from_the_address_says_so_once(trainer: FakeTrainer) -> None:
    test = open_page("self_report")
    assert "Who are you?" in words(test)
    assert not test.button
    test.text_input[0].set_value(" P07 ").run()
    assert "Answers of P07" in words(test)
    assert test.query_params["participant"] in ("P07", ["P07"])
    assert "Who are you?" in words(press(test, "I am somebody else"))


def test_one_click_is_stored_and_confirmed(trainer: FakeTrainer) -> None:
    test = press(open_page("self_report", participant="P07"), "Mildly stressed")
    (stored,) = trainer.reports
    assert (stored["participant"], stored["task"], stored["value"]) == ("P07", "stress", "mildly stressed")
    assert abs(stored["created"] - time.time()) < 20
    assert "Stored. Still open: focus." in words(test)
    press(test, "5, completely")
    assert "Stored. After a minute" in words(test)
    assert [r["value"] for r in trainer.reports] == ["mildly stressed", "5"]


def test_a_minute_later_it_is_time_for_the_next(trainer: FakeTrainer) -> None:
    trainer.reports = [report(time.time() - 61, task=task, value="x") for task in ("stress", "focus")]
    assert "It is time for the next answer." in words(open_page("self_report", participant="P07"))


def test_nothing_is_confirmed_before_the_trainer_has_stored_it(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07")
    trainer.stop()
    press(test, "Calm")
    assert not test.exception
    assert "Not stored yet." in words(test)
    assert "last answer stored" not in words(test)
    trainer.start()
    assert "Stored. Still open: focus." in words(test.run())
    assert len(trainer.reports) == 1


def test_a_refusal_is_said(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07")
    trainer.refusal = "this participant has withdrawn"
    assert "Not stored. The trainer refused: this participant has withdrawn." in words(press(test, "Calm"))


def test_all_items_stand_there_and_only_a_complete_form_can_be_sent(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07", form="phq8")
    assert [radio.label for radio in test.radio] == [f"{n}. {item}" for n, item in enumerate(PHQ8.items, 1)]
    assert all(radio.options == list(PHQ8.answers) and radio.value is None for radio in test.radio)
    send = next(button for button in test.button if button.label == "Send my answers")
    assert send.disabled
    press(fill_in(test, 3), "Send my answers")
    assert [(r["instrument"], r["answers"]) for r in trainer.reports] == [("phq8", [3] * 8)]
    assert "Your answers to PHQ-8 were stored at" in words(test)
    assert not test.radio


def test_no_score_and_no_level_is_shown(trainer: FakeTrainer) -> None:
    earlier = report(time.time() - 60, task="depression", value="severe", instrument="phq8", score=24)
    trainer.reports = [earlier]
    shown = words(open_page("self_report", participant="P07", form="phq8"))
    assert "were stored at" in shown
    untimed = re.sub(r"\d\d:\d\d:\d\d", "", shown)  # the clock may well show 24
    assert not re.search(r"\b(24|minimal|mild|moderate|severe)\b", untimed)


def test_a_form_left_half_way_is_still_filled_in_when_one_comes_back(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07", form="gad7")
    test.radio[1].set_value(2).run()
    test.segmented_control[0].set_value("minute").run()
    assert not test.radio
    test.segmented_control[0].set_value("gad7").run()
    assert [radio.value for radio in test.radio] == [None, 2, *[None] * (len(GAD7.items) - 2)]


def test_a_stored_form_can_be_filled_in_once_more_from_empty(trainer: FakeTrainer) -> None:
    test = press(fill_in(open_page("self_report", participant="P07", form="gad7"), 1), "Send my answers")
    press(test, "Fill it in once more")
    assert [radio.value for radio in test.radio] == [None] * 7


def test_it_says_what_is_stored_and_that_it_is_no_diagnosis(trainer: FakeTrainer) -> None:
    shown = words(open_page("self_report", participant="P07"))
    assert "What is stored" in shown
    assert "Nothing here is a diagnosis" in shown
    assert "<b>x</b>" in words(open_page("self_report", participant="<b>x</b>"))


def test_a_trainer_that_is_away_gives_a_calm_sentence(trainer: FakeTrainer) -> None:
    trainer.stop()
    test = open_page("self_report", participant="P07")
    assert not test.exception
    assert "The trainer does not answer." in words(test)
    trainer.start()
    assert "How stressed were you in the last minute?" in words(test.run())
