"""What of an answer its reader may not know.

Who said what is for admins: others read their own name, and None in place of another rater's. Stills are for raters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trainer_service.roles import Actor, Role

Json = dict[str, Any]


def opinions(actor: Actor, some: Iterable[Json]) -> list[Json]:
    """Labels or remarks that name only those raters of whom this caller may know."""
    return [one if actor.may_know(one["rater"]) else {**one, "rater": None} for one in some]


def window(actor: Actor, found: Json) -> Json:
    """A window whose labels do, without its stills for somebody who does not judge windows."""
    shown = {**found, "labels": opinions(actor, found["labels"])}
    return {**shown, "stills": []} if "stills" in found and actor.role < Role.RATER else shown


def metrics(actor: Actor, found: Json) -> Json:
    """A decision's metrics; doubted raters of whom the caller may not know are left out."""
    raters = found.get("raters", {})
    if "doubted" not in raters:  # nobody was weighed: heads were published again, for instance
        return found
    return {**found, "raters": {**raters, "doubted": [name for name in raters["doubted"] if actor.may_know(name)]}}
