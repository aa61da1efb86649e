"""The trainer's figures for Prometheus. Enrolled machines are named in them, people are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from sentry_proto.metrics import offered
from trainer_service import schema, views
from trainer_service.store import Store

UPDATE_TROUBLES = ("frozen", "refused", "failed")
"""How an agent's words about its updates begin when they do not get through for a reason of their own."""


class TrainerCollector:
    """Reads the figures when they are asked for.

    Args:
        store: the trainer's.
        counts: of received items, by what became of them; see `Intake.counts`.
        agents: one entry per enrolled agent, as `Fleet.describe` gives it.
        model_version: the published one, 0 for none.
    """

    def __init__(
        self,
        store: Store,
        counts: Mapping[str, int],
        agents: Callable[[], Iterable[Mapping[str, Any]]],
        model_version: Callable[[], int],
    ) -> None:
        self._store, self._counts, self._agents, self._model_version = store, counts, agents, model_version

    def collect(self) -> Iterator[Any]:
        """All metric families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - optional

        items = CounterMetricFamily("sentry_trainer_items", "What came from agents", labels=["fate"])
        for fate in ("acked items", "refused items", "refused frames", "unstored items"):
            items.add_metric([fate], self._counts.get(fate, 0))
        yield items
        table = schema.decisions.c
        with self._store.read() as connection:
            stored = views.totals(connection)
            verdicts = connection.execute(select(table.verdict, func.count()).group_by(table.verdict)).all()
        held = GaugeMetricFamily("sentry_trainer_stored", "Rows in the store", labels=["kind"])
        for kind, number in stored.items():
            held.add_metric([kind], number)
        yield held
        decisions = CounterMetricFamily("sentry_trainer_decisions", "Decisions of the learner", labels=["verdict"])
        for verdict, number in verdicts:
            decisions.add_metric([verdict], number)
        yield decisions
        yield GaugeMetricFamily("sentry_trainer_model_version", "Published version", value=self._model_version())
        if isinstance(self._store.database, Path):
            free = shutil.disk_usage(self._store.database.parent).free
            yield GaugeMetricFamily("sentry_trainer_disk_free_bytes", "Room on the disk of the store", value=free)
        yield from self._fleet()

    def _fleet(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - optional

        alive = GaugeMetricFamily("sentry_trainer_agent_alive", "1 for an agent that is heard", labels=["agent"])
        waiting = GaugeMetricFamily("sentry_trainer_agent_waiting", "Records in its outbox", labels=["agent"])
        dropped = GaugeMetricFamily("sentry_trainer_agent_dropped", "Records it dropped, ever", labels=["agent"])
        version = GaugeMetricFamily("sentry_trainer_agent_model_version", "What it runs", labels=["agent"])
        clock = GaugeMetricFamily("sentry_trainer_agent_clock_off_seconds", "Its clock before ours", labels=["agent"])
        error = GaugeMetricFamily("sentry_trainer_agent_error", "1 for an agent that tells of one", labels=["agent"])
        updates = GaugeMetricFamily(
            "sentry_trainer_agent_updates", "1 for the trouble that its updates have", labels=["agent", "trouble"]
        )
        for agent in self._agents():
            name = [agent["name"]]
            alive.add_metric(name, float(agent["alive"]))
            if agent["seen"]:
                waiting.add_metric(name, agent["spooled"])
                dropped.add_metric(name, agent["dropped"])
                version.add_metric(name, agent["model_version"])
                clock.add_metric(name, agent["clock_off_s"])
                error.add_metric(name, float(bool(agent["error"])))
                for trouble in UPDATE_TROUBLES:
                    updates.add_metric([*name, trouble], float(agent["update_state"].startswith(trouble)))
        yield from (alive, waiting, dropped, version, clock, error, updates)


def offering(address: tuple[str, int] | None, collector: TrainerCollector) -> Any:
    """A block in which Prometheus is answered; nothing happens without an address."""
    return offered(collector, *address) if address else nullcontext()
