"""The pages on people, changes, versions, accounts and the system, before a trainer in memory."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from dashboard import audit, models, who
from dashboard.connection import asking
from dashboard.who import Who
from sentry_proto import person_file
from tests.dashboard.conftest import open_page, words
from tests.dashboard.fake_trainer import NOW, FakeTrainer, agent, model, never_seen
from tests.dashboard.test_pages import press
from tests.dashboard.test_self_report import report


class TestPeople:
    def test_everybody_stands_there_with_consent_and_forms(self, trainer: FakeTrainer) -> None:
        text = words(open_page("people"))
        for said in ("3 participants", "P01 given", "P02 withdrawn 14 Jun", "P03 not recorded yet", "6 forms due",
                     "PHQ-8, every 14 days", "due since 12 Jun handed in 2 of 4 times"):  # fmt: skip
            assert said in text

    def test_nobody_yet_says_what_comes(self, trainer: FakeTrainer) -> None:
        trainer.participants = []
        assert "Nobody is in the study yet." in words(open_page("people"))

    def test_a_consent_is_noted_as_withdrawn_and_given_again(self, trainer: FakeTrainer) -> None:
        test = press(open_page("people"), "P01 has withdrawn the consent")
        assert trainer.participants[0]["withdrawn"] is not None
        press(test, "There is a consent of P01 again")
        assert trainer.participants[0]["withdrawn"] is None

    def test_erasing_takes_the_name_once_more_and_says_what_knew_of_the_person(self, trainer: FakeTrainer) -> None:
        test = open_page("people", of="P02")
        erase = next(button for button in test.button if button.key == "erase")
        assert erase.disabled
        trainer.recorded["P01"] = ["lab-1"]  # who is shown next cannot be erased now, which hides nothing of what was
        test.text_input(key="erase P02").set_value("P02").run()
        press(test, "Erase P02")
        assert [one["participant"] for one in trainer.participants] == ["P01", "P03"]
        assert "Erased: 12 rows. Versions that know of the person: 2." in words(test)

    def test_a_refused_erasure_is_said_and_erases_nobody(self, trainer: FakeTrainer) -> None:
        trainer.refusal = "lab-1 is recording this participant: end that first"
        test = open_page("people")
        test.text_input(key="erase P01").set_value("P01").run()
        press(test, "Erase P01")
        assert "Nothing was erased: lab-1 is recording this participant: end that first." in words(test)
        assert len(trainer.participants) == 3

    def test_a_link_is_made_shown_once_and_ended(self, trainer: FakeTrainer) -> None:
        test = open_page("people")
        assert "P01 has no link to answer by." in [caption.value for caption in test.caption]
        press(test, "Make a link")
        assert trainer.links == {"link-P01": "P01"}
        assert test.code[0].value.endswith("/self-report?link=link-P01")
        test.selectbox(key="of").set_value("P02").run()
        assert not test.code
        test.selectbox(key="of").set_value("P01").run()
        press(test, "End the link")
        assert trainer.links == {}
        assert not test.code

    def test_answers_are_read_only_when_asked_for(self, trainer: FakeTrainer) -> None:
        trainer.reports = [
            report(NOW, participant="P01", task="stress", value="calm", words=""),
            report(NOW + 1, participant="P01", instrument="sentence", task="", value="", words="I slept badly."),
            report(NOW + 2, participant="P01", task="depression", value="mild", instrument="phq8", answers=[1] * 8,
                   score=8, words=""),
        ]  # fmt: skip
        test = open_page("people")
        assert trainer.read == []
        assert "I slept badly." not in words(test)
        test.toggle(key="read P01").set_value(True).run()
        assert trainer.read == ["P01"]
        assert "I slept badly." in words(test)
        assert "8 of 24, mild" in words(test)

    def test_retention_says_what_the_study_decided_and_what_is_due(self, trainer: FakeTrainer) -> None:
        test = open_page("people")
        assert "None is declared." in test.markdown[0].value
        assert "Nothing is deleted by itself." in test.markdown[1].value
        test.number_input(key="days").set_value(30).run()
        assert "Older than that: 7 windows." in [caption.value for caption in test.caption]
        trainer.study |= {"retention_days": 90, "purpose": "safety"}
        test.run()
        assert test.markdown[0].value == "**Safety**"
        assert "The trainer deletes what is older than **90 days**, once a day" in test.markdown[1].value
        assert any("Due with the next round: 7 windows." in caption.value for caption in test.caption)

    def test_the_export_is_made_when_fetched_and_kept_nowhere(self, trainer: FakeTrainer) -> None:
        trainer.study["purpose"] = "clinical"
        test = open_page("people")
        assert "download" in {save.key for save in test.get("download_button")}
        with zipfile.ZipFile(io.BytesIO(person_file.pack(asking(), "P01"))) as archive:
            assert "P01" in archive.read("windows.jsonl").decode()
            assert json.loads(archive.read("about.json"))["purpose"] == "clinical"
        assert "export of" not in test.session_state


class TestAudit:
    def test_changes_stand_there_in_words_with_who_made_them(self, trainer: FakeTrainer) -> None:
        text = words(open_page("audit"))
        for said in ("3 changes, newest first", "the trainer deleted what was too old", "ann rolled back",
                     "the participant answered"):  # fmt: skip
            assert said in text

    def test_a_choice_narrows_it_down(self, trainer: FakeTrainer) -> None:
        test = open_page("audit")
        test.selectbox(key="log action").set_value("rollback").run()
        assert "1 change" in words(test)
        test.text_input(key="log actor").set_value("bob").run()
        assert "Nothing was changed." in words(test)

    def test_the_file_holds_all_pages(self, trainer: FakeTrainer) -> None:
        lines = audit._file(asking(), {}).splitlines()
        assert lines[0].startswith("row,time,actor")
        assert len(lines) == 4

    def test_every_action_of_the_trainer_has_words(self) -> None:
        """Those of the control API that write, and those of the commands."""
        written = {"retention", "restore", "init", "enroll", "revoke", "rotate", "approve", "make_link", "self_reports"}
        assert written <= set(audit.WORDS)


class TestAccount:
    @pytest.fixture
    def admin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(who, "EVERYBODY", Who("ann", "admin"))

    def test_an_admin_sees_the_others_and_what_the_role_means(self, trainer: FakeTrainer, admin: None) -> None:
        text = words(open_page("account"))
        for said in ("Signed in as ann", "also publishes, rolls back, exports and erases", "sentry-trainer accounts"):
            assert said in text

    def test_a_viewer_sees_no_list(self, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(who, "EVERYBODY", Who("vera", "viewer"))
        assert "Accounts" not in words(open_page("account"))


class TestSystem:
    def test_it_names_disk_signatures_drift_and_what_the_learner_waits_for(self, trainer: FakeTrainer) -> None:
        trainer.by_time = {"stress": {"time": NOW + 600, "labels": 0}}
        text = words(open_page("system"))
        for said in ("Disk free", "Signatures of the update repository", "root",
                     "Stress waits for 8 more labels, or 15:26"):  # fmt: skip
            assert said in text

    def test_a_full_disk_is_said_in_words(self, trainer: FakeTrainer) -> None:
        trainer.system = {**trainer.system, "free": 1e9}
        assert "Nothing is wrong." not in words(open_page("system"))


class TestOverview:
    def test_the_learner_names_the_time(self, trainer: FakeTrainer) -> None:
        trainer.by_time = {"stress": {"time": NOW + 600, "labels": 1}}
        assert "8 more labels, or one after 15:26" in words(open_page("overview"))

    def test_several_faces_are_no_good_news(self, trainer: FakeTrainer) -> None:
        trainer.agents = [agent(camera_state="several faces")]
        shown = [html.proto.body for html in open_page("overview").get("html")]
        assert any('s-pill s-warn">several faces' in body for body in shown)


class TestModels:
    def test_each_agent_has_a_row_with_what_it_is_offered_and_runs(self, trainer: FakeTrainer) -> None:
        trainer.models = [model(3), model(2)]
        trainer.agents = [
            agent(offered_version=3, canary=True, update_state="fetching version 3"), agent("lab-2"), never_seen(),
        ]  # fmt: skip
        text = words(open_page("models"))
        assert "Rollout 1 agent behind, 1 never called" in text
        for row in (
            "lab-1 tries it before the others version 3 version 2 fetching version 3",
            "lab-2 version 2 version 2 current",
            "lab-9 version 2 never called",
        ):
            assert row in text
        trainer.agents = [agent()]
        assert "every agent runs what it is offered" in words(open_page("models"))

    def test_a_card_is_read_and_saved(self, trainer: FakeTrainer) -> None:
        trainer.models = [model(2), model(1)]
        test = open_page("models")
        assert "save card" in [save.key for save in test.get("download_button")]
        test.selectbox(key="card of").set_value(1).run()
        test.toggle(key="read card").set_value(True).run()
        assert "# Heads, version 1" in next(text.value for text in test.markdown)
        assert models._card_text(asking(), 2).startswith("# Heads, version 2")
