"""The sentences at the top: what needs a person's attention first, and whether what is seen was acted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.troubles import Trouble, troubles
from training.active_learning.review.words import plural


def attention(status: Mapping[str, Any], agents: Sequence[Mapping[str, Any]], system: Mapping[str, Any]) -> Trouble:
    """The first of what the System page lists, and how much more there is; or that all is well."""
    found = troubles(status, agents, system)
    if not found:
        alive = plural(sum(agent["alive"] for agent in agents), "agent")
        return Trouble("good", "Nothing needs attention.", f"{alive} alive, model version {status['model_version']}.")
    more = f" {len(found) - 1} more on the System page." if found[1:] else ""
    return Trouble(found[0].tone, found[0].sentence, f"{found[0].advice}{more}".strip())


def acted(agents: Sequence[Mapping[str, Any]], declared: bool = False) -> str | None:
    """What to say when what is seen was acted, because that was declared or an agent runs its own clock; else None."""
    rate = max((agent["clock_rate"] for agent in agents if agent["seen"]), default=1.0)
    if rate == 1.0 and not declared:
        return None
    pace = f", at {rate:.3g} times real time" if rate != 1.0 else ""
    return f"A puppet acts what you see{pace}. No psychological state was measured."
