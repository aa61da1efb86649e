"""Which scored windows are sent, each with a probability that is known before the draw.

Rules, in this order, for every scored window:

    1. audit      drawn with a set probability that depends on nothing in the window: not on the model's view of it,
                  not on what was sent before
    2. alert      a window in which an alert is on is always sent
    3. uncertain  drawn with a probability that grows with the rank of the window's uncertainty among recent ones, and
                  with the rank of its novelty: its distance from what was sent lately (`diversity`). It is scaled so
                  that no hour sees more than `budget_per_hour` of them

Because ranks count and not values, a confused model does not flood the trainer, a confident one does not starve it,
and neither does a person who sits still for an hour. When every head abstains there is no uncertainty to rank, and
novelty alone tells windows apart: a new deployment has to get its first labels from somewhere.

The inclusion probability of a window is P(sent at all | its features and the past) =
`audit + (1 - audit) * P(alert or uncertain)`; it is 1 for an alerting window. The stratum says which draw sent it.
An estimate from the audit stratum alone must weight by the audit probability, and not by the inclusion probability,
which the model has had its hand in. The trainer may raise the audit probability, when it sees drift for instance, and
lower it again to what is configured; every decision names the one in force.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sentry_proto.types import Float32, Stratum
from training.active_learning.diversity import SentLately

HOUR_S = 3_600.0
RECENT = 720
"""Values that a new one is ranked among: an hour of windows at a hop of 5 s."""

LONGEST_GAP_S = 60.0
"""A window after a pause stands for no more time than this."""

FLOOR = 0.1
STEEPNESS = 3
"""A window at rank r of 0..1 is drawn `FLOOR + (1 - FLOOR) (STEEPNESS + 1) r**STEEPNESS` times as often as the
average one; the mean of that over all ranks is 1."""

MOST_PRESSURE = 1 / FLOOR**2
"""Of a full bucket on a draw; about 1 at half full. It lets even windows that all rank last twice spend the budget."""

BURST_SHARE = 0.25
"""Share of the hourly budget that may be spent at once."""

MOST_AUDIT = 0.5
"""The trainer can raise the audit probability to no more than this; audit windows are under no budget."""


@dataclass(frozen=True)
class Decision:
    """What becomes of one window.

    Attributes:
        stratum: which draw sent it; None if none did.
        inclusion_probability: of being sent by whichever draw, as known before the draw, in 0..1.
        audit_probability: of the audit draw alone, in force for this window, in 0..1.
    """

    stratum: Stratum | None
    inclusion_probability: float
    audit_probability: float


class _Ranks:
    """Ranks each new value among recent ones."""

    def __init__(self) -> None:
        self._recent = np.full(RECENT, np.nan)  # a ring
        self._seen = 0

    def preference(self, value: float | None) -> float:
        """How much likelier than the average window this one is to be drawn; 1 without a value."""
        if value is None or not math.isfinite(value):
            return 1.0
        return FLOOR + (1 - FLOOR) * (STEEPNESS + 1) * self._rank(value) ** STEEPNESS

    def _rank(self, value: float) -> float:
        """Share of recent values below this one, ties counted half."""
        below = np.count_nonzero(self._recent < value)
        ties = np.count_nonzero(self._recent == value)
        rank = (below + (ties + 1) / 2) / (min(self._seen, RECENT) + 1)
        self._recent[self._seen % RECENT] = value
        self._seen += 1
        return rank


class Selector:
    """Decides window by window; one per stream.

    A token bucket holds the budget: it starts half full, gains `budget - capacity` tokens an hour up to its capacity,
    and each uncertain window takes one, so no span of an hour ever sees more than the budget. The fuller the bucket,
    the likelier a draw, which makes up for uneven ranks and for windows that went out as alerts.

    Args:
        generator: source of every draw; two numbers per decision, whatever its outcome.
        audit_probability: in 0..1, the least that will ever be in force.
        budget_per_hour: most uncertain windows in any hour; 0 switches them off, otherwise 2 or more.
        hop_s: expected seconds between windows, used for the first one.

    Raises:
        ValueError: if a setting is out of its range.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        audit_probability: float = 0.05,
        budget_per_hour: float = 30.0,
        hop_s: float = 5.0,
    ) -> None:
        if not 0 <= audit_probability <= 1:
            raise ValueError(f"the audit probability must lie in 0..1, not be {audit_probability}")
        if budget_per_hour != 0 and not 2 <= budget_per_hour < math.inf:
            raise ValueError(f"the budget must be 0 or at least 2 windows an hour, not {budget_per_hour}")
        self._configured = self._audit_probability = audit_probability
        self._generator = generator
        self._capacity = max(1.0, budget_per_hour * BURST_SHARE) if budget_per_hour else 0.0
        self._refill_per_s = (budget_per_hour - self._capacity) / HOUR_S
        self._tokens = self._capacity / 2
        self._hop_s = hop_s
        self._last: float | None = None
        self._uncertainties, self._novelties = _Ranks(), _Ranks()
        self._sent = SentLately()

    @property
    def audit_probability(self) -> float:
        """Of the audit draw, as it is now."""
        return self._audit_probability

    def set_audit_probability(self, value: float) -> None:
        """Change the audit probability from the next window on; safe to call from another thread.

        Args:
            value: wished for; below what is configured, that is used, and above `MOST_AUDIT` the larger of the two.

        Raises:
            ValueError: if it is not a number.
        """
        if math.isnan(value):
            raise ValueError("the audit probability must be a number")
        self._audit_probability = max(self._configured, min(value, MOST_AUDIT))

    def decide(
        self, now: float, uncertainty: float | None, alerting: bool, person: str = "", look: Float32 | None = None
    ) -> Decision:
        """Decide about the window that ends now.

        Args:
            now: seconds on any one clock.
            uncertainty: the window's, in any unit that grows with doubt; None (or not a number) when no head speaks.
            alerting: whether any alert is on.
            person: whose window it is.
            look: `diversity.look` of the window; without one, nothing is thinned for looking alike.
        """
        audit = self._audit_probability  # read once: it may change at any time
        audit_draw, other_draw = self._generator.random(2)
        seconds = self._elapsed(now)
        preference = self._uncertainties.preference(uncertainty) * self._novelty(person, look)
        other = 1.0 if alerting else self._uncertain_probability(seconds, preference)
        stratum = None
        if audit_draw < audit:
            stratum = Stratum.AUDIT
        elif alerting:
            stratum = Stratum.ALERT
        elif other_draw < other:
            stratum = Stratum.UNCERTAIN
            self._tokens -= 1
        if stratum is not None and look is not None:
            self._sent.add(person, look)
        return Decision(stratum, audit + (1 - audit) * other, audit)

    def _novelty(self, person: str, look: Float32 | None) -> float:
        return self._novelties.preference(None if look is None else self._sent.nearest(person, look))

    def _elapsed(self, now: float) -> float:
        """Fill the bucket up to now; the seconds that this window stands for."""
        passed = self._hop_s if self._last is None else max(now - self._last, 0.0)
        if self._last is not None:
            self._tokens = min(self._capacity, self._tokens + passed * self._refill_per_s)
        self._last = now
        return min(passed, LONGEST_GAP_S)

    def _uncertain_probability(self, seconds: float, preference: float) -> float:
        if self._tokens < 1:
            return 0.0
        fill = self._tokens / self._capacity
        pressure = fill / (1 + 1 / MOST_PRESSURE - fill)
        return min(1.0, preference * pressure * self._refill_per_s * seconds)
