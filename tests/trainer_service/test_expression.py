"""Windows that another expression model saw are set aside: counted, and neither learned from nor judged on."""

from __future__ import annotations

import dataclasses

import pytest

from perception.bundles import sha256
from perception.emotion import MODEL
from sentry_proto.codec import decode_record, encode_record
from sentry_proto.errors import MalformedMessage
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Window
from tests.e2e.wire_agent import windows_of_states
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import arrival, hex_id, label, put_labels, put_windows
from trainer_service import registry
from trainer_service.expression import names_of, set_aside
from trainer_service.fitting import Workbench
from trainer_service.jobs import Learn, Observe, Outcome, Prepare, Republish
from trainer_service.opinions import OpinionFeed
from trainer_service.registry import Model
from trainer_service.store import Store
from training.export.state_heads import load_bundle

OTHER = "ab" * 32


def test_the_shipped_model_may_be_named_or_not() -> None:
    shipped = sha256(MODEL)
    assert names_of("") == names_of(shipped) == (shipped, "")
    assert names_of(OTHER) == (OTHER,)


@pytest.mark.parametrize("digest", ["AB" * 32, "ab" * 31, "zz" * 32])
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(MalformedMessage, match=r"window\.expression"):
        decode_record(encode_record(dataclasses.replace(window(), expression=digest)))


def test_opinions_are_on_windows_of_one_model(store: Store) -> None:
    put_windows(store, [window(hex_id(1)), seen_by_other(window(hex_id(2)))])
    put_labels(store, label(1, hex_id(1)), label(2, hex_id(2)))
    for names, expected, aside in ((names_of(""), 1, 1), (names_of(OTHER), 2, 1), ((OTHER, ""), None, 0)):
        feed = OpinionFeed("stress", names)
        with store.read() as connection:
            held = [opinion.window_id for opinion in feed.read(connection)]
            assert set_aside(connection, names) == aside
        assert held == ([hex_id(expected)] if expected else [hex_id(1), hex_id(2)])


@pytest.mark.slow
def test_heads_for_an_approved_model_begin_anew_and_old_ones_stay_what_they_are(store: Store) -> None:
    teach(store, 0)
    shipped = Workbench(store, DEFAULT_TASKS)
    publish(store, shipped.do(Learn(("stress",), 1, 0, 1.0)), 1)
    approved = Workbench(store, DEFAULT_TASKS, OTHER)
    prepared = approved.do(Prepare())
    assert (prepared.set_aside, prepared.stocks["stress"].labels) == (120, 0)
    assert approved.do(Observe(1, 0)).foreign
    assert not shipped.do(Observe(1, 0)).foreign

    teach(store, 1000)
    outcome = approved.do(Learn(("stress",), 2, 1, 2.0))
    (finding,) = outcome.findings
    assert finding.passed
    assert outcome.parent == 0
    assert finding.labels == 120, "none of those that the shipped model saw"
    assert "incumbent" not in finding.reason
    assert load_bundle(outcome.bundle or b"")[0].backbone == OTHER

    again = approved.do(Republish(1, 3, 3.0))
    assert load_bundle(again.bundle or b"")[0].backbone in names_of(""), "old heads are not passed off as new ones"


def teach(store: Store, first: int) -> None:
    pairs = list(windows_of_states(6, 20, seed=first, effect=2.0))
    windows = [seen_by_other(one) if first else one for one, _ in pairs]
    store.ingest([arrival(one, first + n) for n, one in enumerate(windows, 1)], 0.0)
    put_labels(store, *(label(first + n, one.window_id, state) for n, (one, state) in enumerate(pairs, 1)))


def publish(store: Store, outcome: Outcome, version: int) -> None:
    assert outcome.bundle is not None
    with store.write() as connection:
        registry.announce(connection, Model(version, 0, 1.0, outcome.live, outcome.metrics, outcome.bundle))


def seen_by_other(one: Window) -> Window:
    return dataclasses.replace(one, expression=OTHER)
