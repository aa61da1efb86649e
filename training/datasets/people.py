"""Splits by person: nobody is on both sides, or a figure measures how well a model knows a face."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from training.datasets.layout import DatasetError

SHARES: Mapping[str, float] = MappingProxyType({"train": 0.7, "val": 0.15, "test": 0.15})


def split_people(people: Iterable[str], shares: Mapping[str, float] = SHARES) -> dict[str, str]:
    """Assign every person to one part, the same on every machine and whatever the order of `people`.

    Args:
        people: names, repeated or not.
        shares: part -> share of the people; sums to 1. Each part gets its share, rounded.

    Returns:
        Person -> part.
    """
    # A digest orders people at random, yet always alike; the names themselves often follow recruitment.
    ordered = sorted(set(people), key=lambda person: hashlib.sha256(person.encode()).digest())
    parts: dict[str, str] = {}
    begin, total = 0, 0.0
    for part, share in shares.items():
        total += share
        end = round(total * len(ordered))
        parts.update(dict.fromkeys(ordered[begin:end], part))
        begin = end
    return parts


def refuse_shared_people(dataset: str, members: Iterable[tuple[str, str]]) -> None:
    """Refuse a split in which one person is on both sides.

    Args:
        dataset: its name, for the message.
        members: (person, part) of each item; an empty name means that nobody knows who it is.

    Raises:
        DatasetError: naming up to five of the people, and the parts they are in.
    """
    parts: dict[str, set[str]] = {}
    for person, part in members:
        if person:
            parts.setdefault(person, set()).add(part)
    if shared := sorted(person for person, found in parts.items() if len(found) > 1):
        names = "; ".join(f"{person} in {' and '.join(sorted(parts[person]))}" for person in shared[:5])
        raise DatasetError(
            f"{dataset}: {len(shared)} people are in more than one part of the split ({names}): a figure on such a "
            "split rewards knowing the person"
        )
