"""What was left out of a data set, and why: counted, so that nothing is dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass, field

EXAMPLES = 3


@dataclass
class Exclusions:
    """Counts by reason and place.

    Attributes:
        counts: what was left out and why, as `labels: task stress knows no value 'tense'` -> session -> how many.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, reason: str, place: str, count: int = 1) -> None:
        """Count what was left out at a place; 0 is nothing."""
        if count:
            places = self.counts.setdefault(reason, {})
            places[place] = places.get(place, 0) + count

    def update(self, other: Exclusions) -> None:
        """Add all that another has counted."""
        for reason, places in other.counts.items():
            for place, count in places.items():
                self.add(reason, place, count)

    def total(self, beginning: str = "") -> int:
        """How much was left out for reasons that begin like this."""
        return sum(sum(places.values()) for reason, places in self.counts.items() if reason.startswith(beginning))

    def lines(self) -> list[str]:
        """One line for people per reason, most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda entry: -sum(entry[1].values()))
        return [f"left out {sum(places.values())} {reason} ({_examples(list(places))})" for reason, places in ordered]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _examples(places: list[str]) -> str:
    named = ", ".join(places[:EXAMPLES])
    return named if len(places) <= EXAMPLES else f"{named} and {len(places) - EXAMPLES} more"
