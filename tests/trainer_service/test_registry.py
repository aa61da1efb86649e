from __future__ import annotations

import pytest

from sentry_proto.errors import InputError
from trainer_service import registry, views
from trainer_service.registry import Decision, Model
from trainer_service.store import Store


def announce(store: Store, version: int, parent: int) -> None:
    decision = Decision(
        1.0, "labels", "stress", "published", "better", version, parent, version, 40, 3, {}, 40 * version
    )
    refusal = Decision(1.0, "labels", "focus", "refused", "worse", version, parent, None, 40, 3, {}, 7)
    with store.write() as connection:
        registry.announce(connection, Model(version, parent, 1.0, ("stress",), {"stress": {"n": 30}}, b"%d" % version))
        registry.record(connection, [decision, refusal])


def settle(store: Store, live: int) -> dict[int, str]:
    with store.write() as connection:
        registry.settle(connection, live, 2.0)
        return {model["version"]: model["status"] for model in views.models(connection)}


def test_each_version_supersedes_its_parent(store: Store) -> None:
    announce(store, 1, 0)
    assert settle(store, 1) == {1: "current"}
    announce(store, 2, 1)
    assert settle(store, 2) == {1: "superseded", 2: "current"}


def test_a_version_that_goes_back_says_so(store: Store) -> None:
    for version, parent in ((1, 0), (2, 1), (3, 1)):
        announce(store, version, parent)
        statuses = settle(store, version)
    assert statuses == {1: "superseded", 2: "rolled back", 3: "current"}


def test_what_was_announced_but_never_published_is_undone(store: Store) -> None:
    announce(store, 1, 0)
    settle(store, 1)
    announce(store, 2, 1)
    with store.read() as connection:
        assert [model["version"] for model in views.models(connection)] == [1]
        assert registry.last_label_seen(connection, "stress") == 80
    assert settle(store, 1) == {1: "current"}
    with store.read() as connection:
        assert registry.last_label_seen(connection, "stress") == 40
        assert [(d["task"], d["version"]) for d in views.decisions(connection, 9)] == [
            ("focus", None),
            ("focus", None),
            ("stress", 1),
        ]


def test_what_was_published_before_a_crash_is_completed(store: Store) -> None:
    announce(store, 1, 0)
    assert settle(store, 1) == {1: "current"}
    assert settle(store, 1) == {1: "current"}


def test_bundles_are_kept(store: Store) -> None:
    announce(store, 1, 0)
    settle(store, 1)
    with store.read() as connection:
        assert (registry.bundle_of(connection, 1), registry.parent_of(connection, 1)) == (b"1", 0)
        with pytest.raises(InputError, match="no model version 7"):
            registry.bundle_of(connection, 7)
