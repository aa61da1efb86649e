from __future__ import annotations

import pytest

from sentry_proto.errors import RequestRefused
from trainer_service.throttle import MOST, MOST_PER_NAME, WITHIN_S, Throttle


def test_a_name_that_failed_too_often_waits_and_others_do_not() -> None:
    throttle = Throttle()
    for second in range(MOST_PER_NAME):
        throttle.check("ann", second)
        throttle.failed("ann", second)
    with pytest.raises(RequestRefused, match=r"too many failed sign-ins; try again in 290 s"):
        throttle.check("ann", 10)
    throttle.check("bob", 10)
    throttle.check("ann", WITHIN_S)


def test_many_names_together_wait_too() -> None:
    throttle = Throttle()
    for number in range(MOST):
        throttle.check(f"n{number}", 0)
        throttle.failed(f"n{number}", 0)
    with pytest.raises(RequestRefused, match="too many failed sign-ins"):
        throttle.check("somebody else", 1)


def test_a_right_password_clears_the_name() -> None:
    throttle = Throttle()
    for _ in range(MOST_PER_NAME):
        throttle.failed("ann", 0)
    throttle.succeeded("ann")
    throttle.check("ann", 1)
