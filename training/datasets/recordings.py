"""Recorded sessions of other laboratories: who, in which part, which files, which scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.datasets.layout import DatasetError
from training.datasets.people import refuse_shared_people, split_people


@dataclass(frozen=True)
class Recording:
    """One session of one person.

    Attributes:
        name: unique in its data set.
        person: pseudonym in the data set.
        part: train, val or test.
        files: what each file is -> where it lies.
        scores: name -> value; empty where the labels are withheld.
    """

    name: str
    person: str
    part: str
    files: Mapping[str, Path]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Recordings:
    """The sessions of a data set, nobody in two parts.

    Raises:
        DatasetError: on construction, if there is no session, or one person is in two parts.
    """

    name: str
    sessions: tuple[Recording, ...]

    def __post_init__(self) -> None:
        if not self.sessions:
            raise DatasetError(f"{self.name}: no recording found")
        refuse_shared_people(self.name, ((session.person, session.part) for session in self.sessions))

    def __len__(self) -> int:
        return len(self.sessions)

    def part(self, name: str) -> Recordings:
        """The sessions of train, val or test.

        Raises:
            DatasetError: the data set has no such part.
        """
        sessions = tuple(session for session in self.sessions if session.part == name)
        if not sessions:
            found = ", ".join(sorted({session.part for session in self.sessions}))
            raise DatasetError(f"{self.name} has no part {name}; parts found: {found}")
        return replace(self, sessions=sessions)

    def summary(self) -> str:
        """One line: how many sessions and people are in each part."""
        sessions = Counter(session.part for session in self.sessions)
        people = {part: len({s.person for s in self.sessions if s.part == part}) for part in sessions}
        parts = (
            f"{sessions[part]} {part} of {people[part]} people" for part in ("train", "val", "test") if part in people
        )
        return f"{self.name}: {', '.join(parts)}"


def by_person(sessions: tuple[Recording, ...]) -> tuple[Recording, ...]:
    """The same labelled sessions in a split of our own, in which nobody is in two parts."""
    labelled = [session for session in sessions if session.scores]
    parts = split_people(session.person for session in labelled)
    return tuple(replace(session, part=parts[session.person]) for session in labelled)
