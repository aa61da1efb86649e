"""What a study decides beside its tasks; without a study file, what stands here.

purpose = "research"      # or "clinical" or "safety": declared at the start, and stamped into every export
retention_days = 180      # after which the trainer deletes by itself, once a day; without it, nothing is deleted
show_results = false      # whether participants see the score of the form that they have filled in

[forms]                   # which questionnaires are asked, and the days from one time to the next
phq8 = 14
gad7 = 14
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sentry_proto.errors import InputError
from sentry_proto.purposes import PURPOSES
from sentry_proto.questionnaires import QUESTIONNAIRES
from sentry_proto.toml_file import read_toml

TWO_WEEKS_DAYS = 14.0
"""What both questionnaires ask about."""


@dataclass(frozen=True)
class Study:
    """The settings of a study.

    Attributes:
        purpose: of `PURPOSES`; empty where none is declared.
        retention_days: from the arrival of data until they are deleted; None for never.
        show_results: whether participants see their own scores.
        forms: the questionnaires that are asked, and the days from one time to the next.
    """

    purpose: str = ""
    retention_days: float | None = None
    show_results: bool = False
    forms: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(QUESTIONNAIRES, TWO_WEEKS_DAYS))

    def describe(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        InputError: if it is missing, is not TOML, or decides something impossible.
    """
    table = read_toml(path, "study file")
    if unknown := sorted(table.keys() - vars(Study()).keys()):
        raise InputError(f"{path}: a study file knows {', '.join(vars(Study()))}, not {unknown[0]!r}")
    if table.get("purpose", PURPOSES[0]) not in PURPOSES:
        raise InputError(f"purpose must be one of {', '.join(PURPOSES)}, not {table['purpose']!r}")
    if "retention_days" in table:
        _days("retention_days", table["retention_days"])
    if not isinstance(table.get("show_results", False), bool):
        raise InputError("show_results must be true or false")
    if "forms" in table:
        _check_forms(table["forms"])
    return Study(**table)


def _check_forms(forms: object) -> None:
    if not isinstance(forms, Mapping):
        raise InputError("forms must be a table of questionnaires and days")
    for name, days in forms.items():
        if name not in QUESTIONNAIRES:
            raise InputError(f"there is no form {name!r}; there are {', '.join(QUESTIONNAIRES)}")
        _days(name, days)


def _days(name: str, days: object) -> None:
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days < math.inf:
        raise InputError(f"{name} must be a number of days above 0, not {days!r}")
