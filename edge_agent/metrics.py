"""The agent's figures for Prometheus.

No name, pseudonym or address is among them: whoever may scrape a machine need not know who sits there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edge_agent.outbox import Totals
from edge_agent.state import State
from sentry_proto.types import CameraState


class AgentCollector:
    """Reads the figures when they are asked for.

    Args:
        figures: of the loop and of what becomes of windows, as in the run's report.
        state: the agent's.
        totals: of the records to send.
        rate: frames a second just now.
    """

    def __init__(
        self,
        figures: Callable[[], dict[str, Any]],
        state: State,
        totals: Callable[[], Totals],
        rate: Callable[[], float],
    ) -> None:
        self._figures, self._state, self._totals, self._rate = figures, state, totals, rate

    def collect(self) -> Iterator[Any]:
        """All metric families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - optional

        figures, totals = self._figures(), self._totals()
        for name, help_text, value in (
            ("frames", "Frames whose features were computed", figures["frames_scored"]),
            (
                "frames_dropped",
                "Frames that a newer one replaced, or that were given up under load",
                figures["frames_dropped"],
            ),
            ("windows", "Windows judged", figures["windows"]),
            ("windows_without_data", "Windows with too little of a face", figures["no_data_windows"]),
            ("alerts", "Alerts raised", figures["alerts"]),
            ("records_sent", "Records put into the outbox", totals.sent),
            ("records_acked", "Records that the trainer has stored", totals.acked),
            ("records_dropped", "Records dropped for want of room", totals.dropped),
        ):
            yield CounterMetricFamily(f"sentry_agent_{name}", help_text, value=value)
        for name, help_text, value in (
            ("frame_rate", "Frames a second over the last seconds", self._rate()),
            ("load_level", "How much is given up for want of processor time, 0 for nothing", figures["load_level"]),
            ("model_version", "Running model version, 0 for none", self._state.version),
            ("records_waiting", "Records in the outbox", totals.spooled),
        ):
            yield GaugeMetricFamily(f"sentry_agent_{name}", help_text, value=value)
        camera = GaugeMetricFamily("sentry_agent_camera", "1 for what the camera shows now", labels=["state"])
        for state in CameraState:
            camera.add_metric([state.value], float(self._state.camera is state))
        yield camera
        stages = GaugeMetricFamily("sentry_agent_stage_seconds", "Time of a stage", labels=["stage", "quantile"])
        for stage, ms in figures["stages"].items():
            stages.add_metric([stage, "0.5"], ms["median_ms"] / 1000)
            stages.add_metric([stage, "0.95"], ms["p95_ms"] / 1000)
        yield stages
