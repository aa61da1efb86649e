"""How far raters agree on a task: a rater sees the own mean with the others, an admin each pair by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.connection import ask
from dashboard.who import who
from training.active_learning.review.markup import Html, empty, joined, muted, panel, table, tag
from training.active_learning.review.words import count, percent, plural

LEAST_SHARED = 10
"""Windows that two must share before their kappa is shown."""

MOST_PAIRS = 12
HOW = (
    "Kappa is 1 where two always say the same and 0 where they agree no more than by chance; neighbouring classes "
    "count as near. The learner gives labels of raters who disagree with the rest less weight."
)


def agreement(task: str) -> None:
    """Draw it for a task, for those who may see it."""
    if who().may("rater"):
        panel(
            "Agreement between raters", content(ask("agreement", task=task)), "on the windows that both have labelled"
        )


def content(found: Mapping[str, Any]) -> Html:
    """What the trainer has told whoever asked."""
    mine = found["pairs"] is None
    pairs = [("you", _others(found["own"]), found["own"])] if mine else _sorted(found["pairs"])
    if not any(pair["windows"] >= LEAST_SHARED for *_, pair in pairs):
        return empty(
            "Not enough shared windows yet.",
            f"Let another rater label {found['task']} on the Review page, too: it asks each rater about the same "
            f"windows. From {LEAST_SHARED} that two have both labelled on, their agreement is shown here.",
        )
    rows = [(f"{first}, {second}", count(pair["windows"]), _kappa(pair)) for first, second, pair in pairs[:MOST_PAIRS]]
    shown = table(("Raters", "Windows that both labelled", "Kappa"), rows, frozenset({1, 2}))
    left = len(pairs) - MOST_PAIRS
    more = f"{plural(left, 'pair')} more agree better or share too little. " if left > 0 else ""
    return joined([shown, tag("p", f"{more}{_weights(found['trust'])}{HOW}", "s-how")])


def _others(own: Mapping[str, Any]) -> str:
    return "mean with the other" if own["raters"] == 1 else f"mean with {count(own['raters'])} others"


def _sorted(pairs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Who agree least first, then those of whom it is not known."""
    ordered = sorted(pairs, key=lambda pair: (not _known(pair), pair["kappa"] if _known(pair) else -pair["windows"]))
    return [(pair["first"], pair["second"], pair) for pair in ordered]


def _known(pair: Mapping[str, Any]) -> bool:
    return pair["kappa"] is not None and pair["windows"] >= LEAST_SHARED


def _kappa(pair: Mapping[str, Any]) -> object:
    if pair["windows"] < LEAST_SHARED:
        return muted("too few windows")
    return f"{pair['kappa']:.2f}" if _known(pair) else muted("cannot tell: all labels alike")


def _weights(trust: Mapping[str, float] | None) -> str:
    less = {name: share for name, share in (trust or {}).items() if share < 1}
    if not less:
        return ""
    said = ", ".join(f"{name} {percent(share)}" for name, share in sorted(less.items(), key=lambda each: each[1]))
    return f"Weight that agreement leaves: {said}; the others in full. "
