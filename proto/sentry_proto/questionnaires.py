"""The two session-level questionnaires: their English wording, their scores and their bands of severity.

Both were released by Pfizer in 2010 without copyright restriction and at no charge: no permission is needed to
reproduce, translate, show or distribute them. A score screens; it is no diagnosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sentry_proto.errors import InputError
from sentry_proto.tasks import ANXIETY, DEPRESSION

INSTRUCTION = "Over the last 2 weeks, how often have you been bothered by any of the following problems?"
ANSWERS = ("Not at all", "Several days", "More than half the days", "Nearly every day")


@dataclass(frozen=True)
class Questionnaire:
    """A sum score over items that share one scale of answers.

    Attributes:
        name: as stored, for example `phq8`.
        title: for people.
        instruction: the question that stands above the items.
        items: in the published order.
        answers: worth 0, 1, 2, ... points.
        task: the task whose classes are the levels.
        bands: lowest score of each level and the level, ascending; the first starts at 0.
    """

    name: str
    title: str
    instruction: str
    items: tuple[str, ...]
    answers: tuple[str, ...]
    task: str
    bands: tuple[tuple[int, str], ...]

    @property
    def highest(self) -> int:
        """The highest possible score."""
        return len(self.items) * (len(self.answers) - 1)

    def score(self, answers: Sequence[int]) -> int:
        """The sum of the answers.

        Raises:
            InputError: if an item has no answer, or an answer is not on the scale.
        """
        top = len(self.answers) - 1
        if len(answers) != len(self.items):
            raise InputError(f"{self.title} has {len(self.items)} items, and {len(answers)} answers were given")
        wrong = [a for a in answers if isinstance(a, bool) or not isinstance(a, int) or not 0 <= a <= top]
        if wrong:
            raise InputError(
                f"answers of {self.title} must be whole numbers from 0 to {top}, not {str(wrong[0])[:9]!r}"
            )
        return sum(answers)

    def level(self, score: int) -> str:
        """The class of `task` in whose band a score lies.

        Raises:
            InputError: if no answers give such a score.
        """
        if not 0 <= score <= self.highest:
            raise InputError(f"a score of {self.title} must be from 0 to {self.highest}, not {score}")
        return next(level for lowest, level in reversed(self.bands) if score >= lowest)


PHQ8 = Questionnaire(
    name="phq8",
    title="PHQ-8",
    instruction=INSTRUCTION,
    items=(
        "Little interest or pleasure in doing things",
        "Feeling down, depressed, or hopeless",
        "Trouble falling or staying asleep, or sleeping too much",
        "Feeling tired or having little energy",
        "Poor appetite or overeating",
        "Feeling bad about yourself \u2014 or that you are a failure or have let yourself or your family down",
        "Trouble concentrating on things, such as reading the newspaper or watching television",
        "Moving or speaking so slowly that other people could have noticed. Or the opposite \u2014 being so fidgety or "
        "restless that you have been moving around a lot more than usual",
    ),
    answers=ANSWERS,
    task=DEPRESSION.name,
    bands=tuple(zip((0, 5, 10, 15, 20), DEPRESSION.classes, strict=True)),
)
"""Kroenke, Spitzer (2002), "The PHQ-9: a new depression diagnostic and severity measure", Psychiatric Annals 32(9),
509-515; bands and the form without item 9, which asks about self-harm and needs a plan for the answer: Kroenke,
Strine, Spitzer, Williams, Berry, Mokdad (2009), "The PHQ-8 as a measure of current depression in the general
population", Journal of Affective Disorders 114, 163-173.
"""

GAD7 = Questionnaire(
    name="gad7",
    title="GAD-7",
    instruction="Over the last 2 weeks, how often have you been bothered by the following problems?",
    items=(
        "Feeling nervous, anxious or on edge",
        "Not being able to stop or control worrying",
        "Worrying too much about different things",
        "Trouble relaxing",
        "Being so restless that it is hard to sit still",
        "Becoming easily annoyed or irritable",
        "Feeling afraid as if something awful might happen",
    ),
    answers=ANSWERS,
    task=ANXIETY.name,
    bands=tuple(zip((0, 5, 10, 15), ANXIETY.classes, strict=True)),
)
"""Spitzer, Kroenke, Williams, Loewe (2006), "A brief measure for assessing generalized anxiety disorder: the GAD-7",
Archives of Internal Medicine 166, 1092-1097.
"""

QUESTIONNAIRES = {questionnaire.name: questionnaire for questionnaire in (PHQ8, GAD7)}
