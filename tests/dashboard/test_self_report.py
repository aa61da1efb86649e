from __future__ import annotations

import re
import time

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.cli import OPEN_VARIABLE
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


def test_a_link_says_whose_answers_they_are(trainer: FakeTrainer) -> None:
    trainer.links["link-1"] = "P07"
    test = open_page("self_report", link="link-1")
    assert "Answers of P07" in words(test)
    assert "I am somebody else" not in [button.label for button in test.button]
    press(test, "Calm")
    assert [(report["participant"], report["value"]) for report in trainer.reports] == [("P07", "calm")]


def test_a_link_that_has_ended_shows_nothing_and_says_whom_to_ask(trainer: FakeTrainer) -> None:
    test = open_page("self_report", link="link-1")
    assert "This link is not valid any more; please ask the people who run the study for a new one." in words(test)
    assert not test.button
    assert not test.text_input


def test_who_is_not_signed_in_and_has_no_link_cannot_name_anybody(
    trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(OPEN_VARIABLE)
    test = open_page("self_report", participant="P07")
    assert "This page needs your own link" in words(test)
    assert not test.button
    assert not test.text_input


def test_a_half_filled_form_is_gone_for_the_next_person_and_for_oneself(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07", form="phq8")
    test.radio[2].set_value(3).run()
    press(test, "I am somebody else")
    for who in ("P08", "P07"):
        test.text_input[0].set_value(who).run()
        test.segmented_control[0].set_value("phq8").run()
        assert [radio.value for radio in test.radio] == [None] * 8
        press(test, "I am somebody else")


def test_nobody_else_comes_to_the_page_while_an_answer_waits(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07")
    trainer.stop()
    press(test, "Calm")
    press(test, "I am somebody else")
    assert "Answers of P07" in words(test)
    assert "Not stored yet." in words(test)
    trainer.start()
    press(test.run(), "I am somebody else")
    assert "Who are you?" in words(test)
    assert [report["participant"] for report in trainer.reports] == ["P07"]


def test_a_sentence_is_stored_and_its_field_is_empty_again(trainer: FakeTrainer) -> None:
    test = open_page("self_report", participant="P07")
    test.text_area[0].set_value("I slept badly.")
    press(test, "Send it")
    (report,) = trainer.reports
    assert report["words"] == "I slept badly."
    assert "last sentence stored:" in words(test)
    assert test.text_area[0].value == ""
    press(test, "Send it")
    assert len(trainer.reports) == 1


def test_a_form_says_since_when_it_is_due_or_when_it_comes_next(trainer: FakeTrainer) -> None:
    now = time.time()
    trainer.due = {"phq8": now - 3 * 86_400, "gad7": now + 5 * 86_400}
    late, early = (time.strftime("%-d %b", time.gmtime(due)) for due in trainer.due.values())
    test = open_page("self_report", participant="P07", form="phq8")
    assert test.segmented_control[0].options == ["The last minute", "PHQ-8, due", "GAD-7"]
    assert f"PHQ-8 due since {late}" in words(test)
    test.segmented_control[0].set_value("gad7").run()
    assert not test.radio
    assert f"GAD-7 is not due. It is asked every 14 days; next on {early}." in words(test)
    press(test, "Fill it in now all the same")
    assert len(test.radio) == 7


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
    trainer.study["show_results"] = True
    shown = words(open_page("self_report", participant="P07", form="phq8"))
    assert "Your last answers add up to 21 of 24: severe." in shown


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
