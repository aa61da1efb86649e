"""Who may call which method of the control API.

    guest        nobody is signed in: may sign in
    participant  came by a link of the own (`links`): answers for that person, and sees what that page needs
    viewer       sees everything but accounts, audit log, single people's files and answers, how raters agree and who
                 they are
    rater        also labels and remarks, in the account's own name, sees how far the others agree with that, and takes
                 down what a participant says
    admin        everything that changes the study, who said what, and the agreement of any two raters
    key          who holds a control key and names no account: the technician at the trainer, and the dashboard where it
                 lets somebody in whom an identity provider has vouched for

Each role may what the ones before it may. `LEAST` has every method, in the order of docs/control-api.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from sentry_proto.errors import InputError, NotAllowed


class Role(IntEnum):
    """In ascending order of what they may do."""

    GUEST = 0
    PARTICIPANT = 1
    VIEWER = 2
    RATER = 3
    ADMIN = 4
    KEY = 5

    @property
    def word(self) -> str:
        """As it is stored and shown."""
        return self.name.lower()


OF_ACCOUNTS = ("viewer", "rater", "admin")

LEAST: Mapping[str, Role] = {
    "status": Role.GUEST,
    "agents": Role.VIEWER,
    "windows": Role.VIEWER,
    "window": Role.VIEWER,
    "queue": Role.VIEWER,
    "progress": Role.VIEWER,
    "alerts": Role.VIEWER,
    "alert_course": Role.VIEWER,
    "alert": Role.VIEWER,
    "label": Role.RATER,
    "withdraw": Role.RATER,
    "remark": Role.RATER,
    "remarks": Role.VIEWER,
    "withdraw_remark": Role.RATER,
    "agreement": Role.RATER,
    "import_labels": Role.ADMIN,
    "self_report": Role.PARTICIPANT,
    "answer_sheet": Role.PARTICIPANT,
    "self_reports": Role.ADMIN,
    "forms": Role.ADMIN,
    "make_link": Role.ADMIN,
    "revoke_link": Role.ADMIN,
    "rates": Role.VIEWER,
    "ranking": Role.VIEWER,
    "threshold_advice": Role.VIEWER,
    "apply_threshold": Role.ADMIN,
    "models": Role.VIEWER,
    "card": Role.VIEWER,
    "decisions": Role.VIEWER,
    "retrain": Role.ADMIN,
    "rollback": Role.ADMIN,
    "people": Role.VIEWER,
    "whoami": Role.GUEST,
    "sign_in": Role.GUEST,
    "vouched_sign_in": Role.KEY,
    "sign_out": Role.GUEST,
    "accounts": Role.ADMIN,
    "add_account": Role.ADMIN,
    "remove_account": Role.ADMIN,
    "set_password": Role.ADMIN,
    "audit_log": Role.ADMIN,
    "participants": Role.ADMIN,
    "person": Role.ADMIN,
    "person_rows": Role.ADMIN,
    "note_consent": Role.ADMIN,
    "erase": Role.ADMIN,
    "erasures": Role.ADMIN,
    "system": Role.VIEWER,
    "study": Role.VIEWER,
    "expired": Role.ADMIN,
}


@dataclass(frozen=True)
class Actor:
    """Who calls.

    Attributes:
        name: of the account, or of the key; empty for a guest.
        token: by which a signed-in person is known; empty for others.
        participant: whose link it is; empty for all others.
    """

    name: str
    role: Role
    token: str = ""
    participant: str = ""

    def may(self, method: str) -> None:
        """Whether this method may be called.

        Raises:
            NotAllowed: with who may.
        """
        least = LEAST[method]
        if self.role < least:
            who = self.name or "somebody who is not signed in"
            raise NotAllowed(f"{who} may not do this: it takes the role {least.word}")

    def may_speak_as(self, rater: str) -> None:
        """Whether an opinion may be given in this name.

        Raises:
            NotAllowed: if it is not the account's own.
        """
        if self.token and rater != self.name:
            raise NotAllowed(f"{self.name} may give opinions in the own name only, not as {rater[:40]!r}")

    def answers_for(self, participant: str | None) -> str:
        """Whose answers this caller gives: the own of a participant, else those of the one that is named.

        Raises:
            NotAllowed: if they are somebody else's.
            InputError: if nobody is named.
        """
        if self.role is Role.PARTICIPANT:
            if participant not in (None, self.participant):
                raise NotAllowed("this link is of another participant")
            return self.participant
        if self.role < Role.RATER:
            raise NotAllowed(f"{self.name} may not answer for a participant: it takes the role rater, or a link")
        if participant is None:
            raise InputError("this needs the parameter participant")
        return participant

    def may_know(self, rater: str) -> bool:
        """Whether this caller learns that an opinion is this rater's."""
        return self.role >= Role.ADMIN or rater == self.name

    def may_take_back(self, rater: str) -> None:
        """Whether this rater's opinion may be withdrawn.

        Raises:
            NotAllowed: if it is another rater's and this is no admin.
        """
        if self.role < Role.ADMIN and rater != self.name:
            raise NotAllowed(f"only {rater[:40]!r} or an admin may take this back")
