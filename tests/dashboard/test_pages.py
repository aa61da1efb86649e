from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import alerts
from dashboard.cli import ESTIMATES_VARIABLE
from tests.dashboard.conftest import markup, open_page, words
from tests.dashboard.fake_trainer import NOW, FakeTrainer, agent, model, ranking
from training.active_learning.review.chart import specification
from training.active_learning.sheets import CURVES


def press(test: AppTest, label: str) -> AppTest:
    """Press the button with this label."""
    return next(button for button in test.button if button.label == label).click().run()


def listed(test: AppTest) -> list[str]:
    """The rows of the list of alerts."""
    return [button.label for button in test.button if " · " in button.label]


def many_alerts(number: int) -> list[dict[str, Any]]:
    """Judged alerts, newest first, each of another person."""
    one = {
        "agent": "lab-1", "session": "s0001", "task": "stress", "probability": 0.9, "threshold": 0.6,
        "model_version": 2, "verdict": "true alarm",
    }  # fmt: skip
    return [
        {**one, "alert_id": f"{n:032x}", "window_id": f"{n:032x}", "participant": f"P{n}", "start": NOW - 60 * n,
         "end": NOW - 60 * n + 20}
        for n in range(number)
    ]  # fmt: skip


class TestOverview:
    def test_shows_agents_alerts_waits_and_decisions(self, trainer: FakeTrainer) -> None:
        text = words(open_page("overview"))
        for said in (
            "The camera of lab-2 sees a dark picture.", "never called", "Version 2 published: stress",
            "Candidate refused: stress", "8 more labels", "not judged", "false alarm", "29.7",
        ):  # fmt: skip
            assert said in text

    def test_a_full_disk_is_the_first_thing_that_is_said(self, trainer: FakeTrainer) -> None:
        trainer.system = {"free": 1e10}
        text = words(open_page("overview"))
        assert "The trainer's disk has 10.0 GB left, 1 % of it." in text
        assert "more on the System page." in text

    def test_abstaining_study_says_what_comes_next(self, trainer: FakeTrainer) -> None:
        trainer.model_version, trainer.alerts, trainer.decisions = 0, [], []
        trainer.agents = [agent(model_version=0)]
        text = words(open_page("overview"))
        assert "The heads abstain: they are not calibrated yet" in text
        assert "No alert yet." in text

    def test_windows_that_another_expression_model_saw_are_said_to_be_set_aside(self, trainer: FakeTrainer) -> None:
        assert "Set aside" not in words(open_page("overview"))
        trainer.set_aside = 69
        assert "Set aside: 69 labelled windows, which another expression model saw" in words(open_page("overview"))

    def test_names_from_outside_cannot_inject_markup(self, trainer: FakeTrainer) -> None:
        trainer.agents = [agent("<img src=x>")]
        shown = open_page("overview")
        assert not any("<img" in element.proto.body for element in shown.get("html"))
        assert "<img src=x>" in words(shown)

    def test_trainer_away_gives_a_calm_sentence_and_comes_back(self, trainer: FakeTrainer) -> None:
        trainer.stop()
        away = open_page("overview")
        assert not away.exception
        assert "The trainer does not answer." in words(away)
        trainer.start()
        assert "Agents" in words(away.run())


class TestAlerts:
    def test_charts_when_alerts_came_and_what_was_around_one(self, trainer: FakeTrainer) -> None:
        page = open_page("alerts")
        assert "When alerts came" in words(page)
        assert {"svg course", "csv course", "svg around"} <= {save.key for save in page.get("download_button")}

    def test_state_curves_are_those_of_the_review_page(
        self, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[Any] = []

        def draw(*given: Any) -> Any:
            drawn.append(given)
            return specification(*given)

        monkeypatch.setattr(alerts, "specification", draw)
        assert "30 s before the alert" in words(open_page("alerts"))
        ((curves, camera_states, _),) = drawn
        assert set(curves) == {curve.name for curve in CURVES}
        assert [len(values) for values in curves.values()] == [30] * len(CURVES)
        assert camera_states == "o" * 30
        trainer.arrived = False
        assert "It has not come yet." in words(open_page("alerts"))

    @pytest.mark.parametrize(
        ("name", "value"), [("task", "focus"), ("participant", "P01"), ("agent", "lab-2"), ("model_version", 1)]
    )
    def test_each_choice_is_asked_for_and_kept_in_the_address(
        self, trainer: FakeTrainer, name: str, value: str | int
    ) -> None:
        trainer.models = [model(2), model(1)]
        page = open_page("alerts")
        page.selectbox(key=f"alerts {name}").set_value(value).run()
        assert trainer.asked[-1] == {name: value}
        assert page.query_params[name] == str(value)
        reopened = open_page("alerts", **{name: str(value)})
        assert reopened.selectbox(key=f"alerts {name}").value == value
        assert trainer.asked[-1] == {name: value}

    def test_agents_and_versions_are_told_apart(self, trainer: FakeTrainer) -> None:
        trainer.models = [model(2), model(1)]
        trainer.alerts[3]["agent"], trainer.alerts[4]["model_version"] = "lab-2", 1
        assert [row[-11:] for row in listed(open_page("alerts", agent="lab-2"))] == ["false alarm"]
        assert [row.split(" · ")[2] for row in listed(open_page("alerts", model_version="1"))] == ["P05"]

    def test_alerts_without_a_verdict_are_found_behind_many_judged_ones(self, trainer: FakeTrainer) -> None:
        trainer.alerts = many_alerts(60)
        trainer.alerts[57]["verdict"] = None
        page = open_page("alerts")
        assert len(listed(page)) == 40
        page.toggle(key="alerts open").set_value(True).run()
        assert [row.split(" · ")[2] for row in listed(page)] == ["P57"]
        assert listed(open_page("alerts", open="1")) == listed(page)

    def test_older_alerts_can_be_turned_to(self, trainer: FakeTrainer) -> None:
        trainer.alerts = many_alerts(60)
        page = open_page("alerts")
        assert "1 to 40, newest first" in words(page)
        opened = page.query_params["alert"]
        press(page, "Show older")
        assert [row.split(" · ")[2] for row in listed(page)] == [f"P{n}" for n in range(40, 60)]
        assert "41 to 60, newest first" in words(page)
        assert page.query_params["alert"] == opened, "what is open stays open"
        press(page, "Show newer")
        assert len(listed(page)) == 40
        page.run().selectbox(key="alerts when").set_value("hour").run()
        assert "No alert here." in words(page), "all of them are long ago"

    def test_a_link_opens_an_alert_that_the_list_does_not_show(self, trainer: FakeTrainer) -> None:
        trainer.alerts = many_alerts(60)
        page = open_page("alerts", alert=trainer.alerts[50]["alert_id"])
        assert "P50 at lab-1" in words(page)
        next(button for button in page.button if " P3 " in button.label).click().run()
        assert "P3 at lab-1" in words(page)
        assert page.query_params["alert"] == trainer.alerts[3]["alert_id"]
        assert "there is no alert nonsense" in words(open_page("alerts", alert="nonsense")).lower()

    def test_stills_stand_beside_the_camera_states(self, trainer: FakeTrainer) -> None:
        trainer.stills = [{"time": 1_750_000_000.0, "jpeg": "/9j/4AAQ"}]
        page = open_page("alerts")
        assert 'src="data:image/jpeg;base64,/9j/4AAQ"' in markup(page)
        assert "made the face unrecognisable" in words(page)

    def test_a_choice_made_while_the_trainer_is_away_is_kept_and_the_page_comes_back(
        self, trainer: FakeTrainer
    ) -> None:
        page = open_page("alerts")
        trainer.stop()
        page.selectbox(key="alerts task").set_value("stress").run()
        assert "The trainer does not answer." in words(page)
        trainer.start()
        page.run()
        assert "When alerts came" in words(page)
        assert page.selectbox(key="alerts task").value == "stress"


class TestReview:
    def test_one_click_stores_one_label_and_moves_on(self, trainer: FakeTrainer) -> None:
        test = open_page("review", rater="R1")
        assert "5 windows left" in words(test)
        press(age(test), "Calm")
        (label,) = trainer.labels.values()
        assert (label["window_id"], label["value"], label["rater"]) == (f"{1:032x}", "calm", "R1")
        assert label["source"] == "observer"
        assert "Stored: calm, by R1." in words(test)
        assert "1 labelled today, 4 windows left" in words(test)
        assert '<b style="width:20.0%">' in markup(test)

    def test_undo_withdraws_and_shows_the_window_again(self, trainer: FakeTrainer) -> None:
        test = open_page("review", rater="R1")
        press(age(test), "Stressed")
        press(test, "Undo")
        assert trainer.labels == {}
        assert "5 windows left" in words(test)

    def test_raters_are_told_neither_the_estimate_nor_why_they_are_asked(self, trainer: FakeTrainer) -> None:
        every, asked = trainer.windows, []
        for window in every:
            trainer.windows = [window]
            page = open_page("review", rater="R1")
            text = words(page)
            assert not any(said in text for said in ("What the model says", "65 %", "audit", "uncertain", "alert"))
            asked.append(sorted(button.label for button in page.button))
        assert len(every) == 5
        assert all(labels == asked[0] for labels in asked), "the question would give it away"

    def test_a_study_may_show_them(self, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ESTIMATES_VARIABLE, "1")
        page = open_page("review", rater="R1")
        text = words(page)
        assert "What the model says" in text
        assert "The model raised an alert in this window." in text
        press(age(page), "False alarm")
        assert [label["value"] for label in trainer.labels.values()] == ["false alarm"]

    def test_only_the_task_that_alerted_is_asked_for_a_verdict(
        self, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ESTIMATES_VARIABLE, "1")
        asked = {
            task: "True alarm" in [button.label for button in open_page("review", rater="R1", task=task).button]
            for task in ("stress", "focus")
        }
        assert asked == {"stress": True, "focus": False}

    def test_without_a_rater_nothing_can_be_labelled(self, trainer: FakeTrainer) -> None:
        test = open_page("review")
        assert all(button.disabled for button in test.button if button.label in ("True alarm", "Calm"))

    def test_left_for_later_goes_behind_and_comes_back(self, trainer: FakeTrainer) -> None:
        trainer.windows = trainer.windows[:1]
        test = press(open_page("review", rater="R1"), "Leave for later")
        assert "The queue is empty" in words(test)
        assert "1 window left" in words(press(test, "Look again at what was left for later"))

    def test_what_was_left_for_later_outlives_a_refreshed_page(self, trainer: FakeTrainer) -> None:
        test = press(open_page("review", rater="R1"), "Leave for later").run()
        assert "4 windows left" in words(test)
        again = open_page("review", rater="R1", later=test.query_params["later"])
        assert "4 windows left" in words(again)
        trainer.windows = trainer.windows[:1]
        back = press(again.run(), "Look again at what was left for later").run()
        assert "later" not in back.query_params
        assert "1 window left" in words(back)

    def test_click_while_the_trainer_is_away_is_not_taken_as_stored(self, trainer: FakeTrainer) -> None:
        test = age(open_page("review", rater="R1"))
        trainer.stop()
        press(test, "Calm")
        assert not test.exception
        assert trainer.labels == {}
        trainer.start()
        assert "Not stored:" in words(test.run())
        press(test, "Calm")
        assert [label["value"] for label in trainer.labels.values()] == ["calm"]

    def test_stills_stand_below_the_curves(self, trainer: FakeTrainer) -> None:
        assert "base64" not in markup(open_page("review", rater="R1"))
        trainer.stills = [{"time": 1_750_000_000.0, "jpeg": "/9j/4AAQ"}]
        assert 'src="data:image/jpeg;base64,/9j/4AAQ"' in markup(open_page("review", rater="R1"))

    def test_abstaining_window_says_so(self, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
        for window in trainer.windows:
            window["predictions"] = []
        monkeypatch.setenv(ESTIMATES_VARIABLE, "1")
        assert "Not calibrated yet." in words(open_page("review", rater="R1"))


class TestRates:
    def test_each_rate_has_interval_n_or_what_is_missing(self, trainer: FakeTrainer) -> None:
        text = words(open_page("rates"))
        for said in (
            "From v1 to v2 the false-positive rate fell from 30 % to 12 %, the false-", "7.2 to 19 % (95 %), n = 42",
            "not enough labels yet: 6 more", "3.6 / h", "all versions",
        ):  # fmt: skip
            assert said in text

    def test_groups_confidences_and_a_warning(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        assert "Without labels: 11 %, 9.0 to 14 % (95 %), n = 210" in words(page)
        assert "28 points higher than the head's own confidences" in words(page)
        page.selectbox(key="rates by").set_value("agent").run()
        assert "all agents" in words(page)
        assert "lab-2" in words(page)

    def test_updates_labels_for_a_width_and_calibration(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        text = words(page)
        assert "v1 to v2 30 % to 12 % lower -35 to -4 points" in text
        assert "in version 2; about 13 more labels for 10 points" in text
        assert "off by 4.0 % on average, from 72 judged windows" in text
        page.selectbox(key="rates width").set_value(0.2).run()
        assert "in version 2; within 20 points already" in words(page)

    def test_the_whole_roc_curve_stands_beside_what_alerts_did(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        assert "higher probability in 86 %, 78 % to 92 % (95 %), n = 90, 31 with the event" in words(page)
        assert {"svg roc", "csv precision"} <= {save.key for save in page.get("download_button")}
        trainer.ranking = {**ranking(), "curve": [], "area": None, "words": "4 more judged windows with the event"}
        assert "not enough labels yet: 4 more judged windows with the event" in words(open_page("rates"))

    def test_personal_offsets_stand_beside_the_generic_head(self, trainer: FakeTrainer) -> None:
        text = words(open_page("rates"))
        with_offsets, without = text.index("with personal offsets"), text.index("the same without")
        assert "11 %" in text[with_offsets:without]
        assert "23 %" in text[without : without + 200]

    def test_a_threshold_is_advised_and_published_after_asking(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        page.button(key="advise").click().run()
        assert "For at most 2 false alarms per hour use 0.81" in words(page)
        assert "Each point is a threshold, from the present one on" in words(page)
        assert {"svg thresholds", "csv thresholds"} <= {save.key for save in page.get("download_button")}
        page.segmented_control(key="threshold view").set_value("ROC").run()
        assert not page.exception
        page.button(key="publish threshold").click().run()
        assert trainer.applied == [], "it asks first"
        page.button(key="publish it").click().run()
        assert trainer.applied == [("stress", 0.81)]
        assert "0.81 is published as version 3." in words(page)
        assert "For at most 2 false alarms per hour use 0.81" not in words(page), "that was about version 2"
        assert "publish threshold" not in [button.key for button in page.button]

    def test_any_threshold_that_is_drawn_can_be_published(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        page.button(key="advise").click().run()
        (slider,) = page.select_slider
        slider.set_value(0.7).run()
        assert "At 0.70: 2.4 / h false alarms, 1.2 to 4.8 / h (95 %), n = 30" in words(page)
        page.button(key="publish threshold").click().run()
        page.button(key="leave threshold").click().run()
        assert trainer.applied == []
        page.button(key="publish threshold").click().run()
        page.button(key="publish it").click().run()
        assert trainer.applied == [("stress", 0.7)]

    def test_a_threshold_for_a_version_that_is_gone_is_not_published(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        page.button(key="advise").click().run()
        trainer.model_version = 5
        page.button(key="publish threshold").click().run()
        page.button(key="publish it").click().run()
        assert trainer.applied == []
        assert "Not published: version 5 is in use by now." in words(page)

    def test_a_choice_made_while_the_trainer_is_away_is_kept(self, trainer: FakeTrainer) -> None:
        page = open_page("rates")
        trainer.stop()
        page.segmented_control(key="rates task").set_value("focus").run()
        assert "The trainer does not answer." in words(page)
        trainer.start()
        trainer.rates = [{**row, "task": "focus"} for row in trainer.rates]
        assert "False-discovery share" in words(page.run())
        assert page.segmented_control(key="rates task").value == "focus"

    def test_before_the_first_version_it_says_what_is_waited_for(self, trainer: FakeTrainer) -> None:
        trainer.rates = []
        text = words(open_page("rates"))
        assert "No rates yet" in text
        assert "Stress: 8 more labels." in text


class TestAgreement:
    def test_an_admin_sees_each_pair_who_agree_least_first(self, trainer: FakeTrainer) -> None:
        pairs = [("ann", "bob", 40, 0.8), ("ann", "eve", 30, -0.21), ("bob", "eve", 9, 0.1), ("bob", "cid", 12, None)]
        names = ("first", "second", "windows", "kappa")
        trainer.agreement["pairs"] = [dict(zip(names, pair, strict=True)) for pair in pairs]
        trainer.agreement["trust"] = {"ann": 1.0, "bob": 1.0, "eve": 0.12}
        text = words(open_page("rates"))
        shown = text[text.index("Agreement between raters") :]
        assert "ann, eve 30 -0.21 ann, bob 40 0.80 bob, cid 12 cannot tell: all labels alike" in shown
        assert "bob, eve 9 too few windows" in shown
        assert "Weight that agreement leaves: eve 12 %; the others in full." in shown

    def test_a_rater_sees_the_own_mean(self, trainer: FakeTrainer) -> None:
        trainer.agreement = {"own": {"raters": 2, "windows": 70, "kappa": 0.64}, "pairs": None, "trust": None}
        assert "you, mean with 2 others 70 0.64" in words(open_page("rates"))

    def test_before_windows_are_shared_it_says_what_to_do(self, trainer: FakeTrainer) -> None:
        text = words(open_page("rates"))
        assert "Not enough shared windows yet. Let another rater label stress on the Review page, too" in text


class TestModels:
    def test_accuracy_by_version_is_drawn_and_can_be_saved(self, trainer: FakeTrainer) -> None:
        trainer.models = [model(2, n=90), model(1, incumbent=None)]
        page = open_page("models")
        assert not page.exception
        text = words(page)
        assert "What versions have learned" in text
        assert "versions were judged on different windows (stress 60 to 90)" in text
        assert {"svg versions", "csv versions"} <= {save.key for save in page.get("download_button")}

    def test_nothing_is_drawn_before_anything_was_measured(self, trainer: FakeTrainer) -> None:
        trainer.models = [{**model(1), "metrics": {}}]
        text = words(open_page("models"))
        assert "Versions" in text
        assert "What versions have learned" not in text


def age(test: AppTest) -> AppTest:
    """Let the window on the desk have been there for a while, so that a click is a decision."""
    desk = test.session_state["desk"]
    desk._shown = (desk._shown[0], 0.0)
    return test
