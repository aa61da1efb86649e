from __future__ import annotations

from tests.sentry_proto.records import alert, window
from tests.trainer_service.conftest import arrival, hex_id, label, put_labels
from trainer_service import retention
from trainer_service.store import Store


def test_what_arrived_before_the_limit_goes_with_its_labels(store: Store) -> None:
    store.ingest([arrival(window(hex_id(1)), 1), arrival(alert(alert_id=hex_id(50)), 2)], 100.0)
    store.ingest([arrival(window(hex_id(2)), 3), arrival(alert(alert_id=hex_id(51)), 4)], 200.0)
    put_labels(store, label(11, hex_id(1)), label(12, hex_id(2)))
    old = {"labels": 1, "windows": 1, "alerts": 1, "self_reports": 0, "remarks": 0}
    with store.read() as connection:
        assert retention.expired(connection, 150.0) == old
    with store.write() as connection:
        assert retention.remove(connection, 150.0) == old
    with store.read() as connection:
        assert not any(retention.expired(connection, 150.0).values())
        assert retention.expired(connection, 250.0) == old
