"""The control API's methods on what people say: labels, remarks, how far raters agree, and self-reports."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, Table, select

from sentry_proto.errors import InputError, RequestRefused
from sentry_proto.questionnaires import QUESTIONNAIRES
from sentry_proto.tasks import tasks_to_json
from sentry_proto.types import Label
from trainer_service import agreement, erasure, forms, labels, links, remarks, schema, self_reports, veil
from trainer_service.agreement import AgreementFeed
from trainer_service.remarks import UNSURE, Remark
from trainer_service.requests import Answering
from trainer_service.self_reports import Answer, SelfReport
from trainer_service.views import checked_limit

Json = dict[str, Any]


class OpinionApi(Answering):
    """Part of `ControlApi`."""

    _agreement: dict[str, AgreementFeed]

    def label(
        self,
        label_id: str,
        window_id: str,
        task: str,
        value: str,
        source: str,
        rater: str,
        confidence: float = 1.0,
        created: float | None = None,
    ) -> Json:
        """Store one label, once."""
        now = time.time()
        given = now if created is None else float(created)
        label = Label(label_id, window_id, task, value, source, rater, float(confidence), given)
        labels.check(label, self._tasks)
        self._actor.may_speak_as(rater)
        with self._store.write() as connection:
            fresh = labels.put(connection, label, now)
            if fresh:
                whom, _ = remarks.about(connection, window_id)
                self._note(connection, "label", label_id, whom, f"{task}: {value}, by {rater}")
        if fresh:
            self._learner.nudge()
        return {"stored": True, "fresh": fresh}

    def withdraw(self, label_id: str) -> Json:
        """Take a label back."""
        with self._store.write() as connection:
            self._may_take_back(connection, "withdraw", schema.labels, label_id)
            withdrawn = labels.withdraw(connection, label_id, time.time())
        self._learner.nudge()
        return {"withdrawn": withdrawn}

    def remark(
        self,
        remark_id: str,
        kind: str,
        task: str,
        rater: str,
        window_id: str | None = None,
        participant: str | None = None,
        moment: float | None = None,
        words: str = "",
    ) -> Json:
        """Store what a rater says that is no label, once."""
        now = time.time()
        with self._store.write() as connection:
            if window_id is not None:
                participant, moment = remarks.about(connection, window_id)
            elif participant is None or moment is None:
                raise InputError("a remark is about a window, or about a participant at a time")
            remark = Remark(remark_id, kind, task, participant, float(moment), rater, now, window_id, words)
            remarks.check(remark, self._tasks)
            self._actor.may_speak_as(rater)
            fresh = remarks.put(connection, remark, now)
            if fresh:
                self._note(connection, "remark", remark_id, participant, f"{task}: {kind}, by {rater}")
        if fresh and kind == UNSURE:
            self._learner.nudge()  # it may have taken the place of a label
        return {"stored": True, "fresh": fresh}

    def remarks(self, kind: str | None = None, participant: str | None = None, limit: int = 100) -> list[Json]:
        """What raters have said that is no label, newest first."""
        where = [
            schema.remarks.c[name] == value
            for name, value in (("kind", kind), ("participant", participant))
            if value is not None
        ]
        with self._store.read() as connection:
            return veil.opinions(self._actor, remarks.listed(connection, where, checked_limit(limit)))

    def withdraw_remark(self, remark_id: str) -> Json:
        """Take a remark back."""
        with self._store.write() as connection:
            self._may_take_back(connection, "withdraw_remark", schema.remarks, remark_id)
            withdrawn = remarks.withdraw(connection, remark_id, time.time())
        self._learner.nudge()
        return {"withdrawn": withdrawn}

    def _may_take_back(self, connection: Connection, action: str, table: Table, given_id: str) -> None:
        """Whether a label or remark may be withdrawn, which is then written down."""
        columns = (table.c.rater, table.c.participant, table.c.task, table.c.withdrawn)
        own_id = table.c.label_id if table is schema.labels else table.c.remark_id
        found = connection.execute(select(*columns).where(own_id == given_id)).first()
        if found is not None and found.withdrawn is None:
            self._actor.may_take_back(found.rater)
            self._note(connection, action, given_id, found.participant, f"{found.task}, by {found.rater}")

    def agreement(self, task: str) -> Json:
        """How far raters agree; names are for admins."""
        feed = self._agreement[self._task(task).name]
        with self._store.read() as connection:
            weighing = feed.read(connection)
        return agreement.describe(task, weighing, self._actor)

    def import_labels(self, text: str, rater: str = "") -> Json:
        """Store a whole file of labels, or nothing of it."""
        with self._store.write() as connection:
            done = labels.put_file(connection, text, self._tasks, time.time(), rater)
            self._note(connection, "import_labels", "a file", details=f"{done.stored} labels stored")
        self._learner.nudge()
        return done._asdict()

    def self_report(
        self,
        report_id: str,
        participant: str | None = None,
        task: str | None = None,
        value: str | None = None,
        instrument: str | None = None,
        answers: list[int] | None = None,
        words: str | None = None,
        created: float | None = None,
    ) -> Json:
        """Store one answer of a participant, once."""
        now = time.time()
        whose = self._actor.answers_for(participant)
        answer = self._answer(task, value, instrument, answers, words)
        report = SelfReport(report_id, whose, now if created is None else float(created), answer)
        self_reports.check(report)
        with self._store.write() as connection:
            for why in erasure.refused(connection, [whose]).values():
                raise RequestRefused(why)
            fresh = self_reports.put(connection, report, now)
            if fresh:
                self._note(connection, "self_report", report_id, whose, answer.instrument or answer.task)
        if fresh:
            self._learner.nudge()
        shown = self._study.show_results and answer.score is not None
        result = self_reports.result(answer.score or 0, answer.value) if shown else None
        return {"stored": True, "fresh": fresh, "result": result}

    def answer_sheet(self, participant: str | None = None) -> Json:
        """What a participant's own page needs."""
        whose, now = self._actor.answers_for(participant), time.time()
        with self._store.read() as connection:
            return {
                "participant": whose,
                "tasks": tasks_to_json(tuple(self._tasks.values())),
                "last": self_reports.newest(connection, whose),
                "forms": forms.standings(connection, self._forms(), now, whose),
                "results": self_reports.results(connection, whose) if self._study.show_results else None,
            }

    def self_reports(self, participant: str | None = None, before: int | None = None, limit: int = 100) -> list[Json]:
        """What participants have said of themselves, newest first."""
        self._note_reading("self_reports", participant)
        with self._store.read() as connection:
            return self_reports.listed(connection, participant, before, checked_limit(limit))

    def forms(self) -> list[Json]:
        """How everybody stands with the questionnaires."""
        with self._store.read() as connection:
            return forms.standings(connection, self._forms(), time.time())

    def make_link(self, participant: str) -> Json:
        """Make the link by which a participant answers; an older one ends."""
        self_reports.check_name("participant", participant)
        with self._store.write() as connection:
            for why in erasure.refused(connection, [participant]).values():
                raise RequestRefused(why)
            token = links.make(connection, participant, time.time())
            self._note(connection, "make_link", "", participant)
        return {"participant": participant, "link": token}

    def revoke_link(self, participant: str) -> Json:
        """End a participant's link."""
        with self._store.write() as connection:
            revoked = links.revoke(connection, participant)
            if revoked:
                self._note(connection, "revoke_link", "", participant)
        return {"participant": participant, "revoked": revoked}

    def _forms(self) -> dict[str, float]:
        """The questionnaires that the study asks and whose task is configured."""
        return {name: days for name, days in self._study.forms.items() if QUESTIONNAIRES[name].task in self._tasks}

    def _answer(
        self,
        task: str | None,
        value: str | None,
        instrument: str | None,
        answers: list[int] | None,
        words: str | None,
    ) -> Answer:
        given = tuple(one is not None for one in (task, value, instrument, answers, words))
        if given == (True, True, False, False, False):
            return self_reports.class_answer(task or "", value or "", self._tasks)
        if given == (False, False, True, True, False):
            return self_reports.questionnaire_answer(instrument or "", answers or [], self._tasks)
        if given == (False, False, False, False, True):
            return self_reports.sentence(words or "")
        raise InputError("a self-report is either a task with its value, an instrument with its answers, or words")
