"""A store of the first schema with something in every table; `stores/0001.db` was made by it, and stays as it is.

    python -m tests.trainer_service.first_store

writes the file anew. Nobody has to: what a migration must keep is what stands in the file, not what this module says
by then.
"""

from __future__ import annotations

import importlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, select

from sentry_proto import codec
from sentry_proto.types import Stratum, Window
from tests.sentry_proto.records import window
from trainer_service import migrations
from trainer_service.database import Database, engine_of, writing

FILE = Path(__file__).parent / "stores" / "0001.db"
FIRST: MetaData = importlib.import_module("trainer_service.migrations.versions.0001_first").metadata

Rows = list[dict[str, Any]]


def contents(connection: Connection) -> dict[str, Rows]:
    """Every row of every table but Alembic's own, by the table's name; each table in one fixed order."""
    found = MetaData()
    found.reflect(connection)
    tables = (table for table in found.sorted_tables if table.name != "alembic_version")
    return {table.name: _rows(connection, table) for table in tables}


def _rows(connection: Connection, table: Table) -> Rows:
    return sorted((dict(row._mapping) for row in connection.execute(select(table))), key=repr)


def put_first(database: Database, rows: dict[str, Rows]) -> None:
    """Make an empty database a store of the first schema that holds these rows; the database numbers them itself."""
    engine = engine_of(database)
    with writing(engine) as connection:
        migrations.upgrade(connection, "0001")
        for table in FIRST.sorted_tables:
            numbered = sorted(rows[table.name], key=lambda row: row.get("row", 0))
            bare = [{name: value for name, value in row.items() if name != "row"} for row in numbered]
            connection.execute(table.insert(), bare)
    engine.dispose()


# ---- what was written -----------------------------------------------------------------------------------------------


def _id(number: int) -> str:
    return f"{number:032x}"


def _said(task: str, alerting: bool, **more: Any) -> dict[str, Any]:
    return {"task": task, "probabilities": [0.5, 0.25, 0.25], "entropy": 1.0, "mutual_information": 0.125,
            "alerting": alerting, **more}  # fmt: skip


OFFSET = {"personal": [0.125, 0.375, 0.5], "generic_alerting": False}
NO_OFFSET = {"personal": [], "generic_alerting": False}


def _window(number: int, stratum: Stratum, participant: str, predictions: Rows, agent: str = "lab-1") -> dict[str, Any]:
    one = window(_id(number), participant=participant, seconds=2, start=1_750_000_000.0 + 5 * number, seed=number)
    record: Window = replace(one, stratum=stratum, model_version=2)
    features = one.features
    return {
        "window_id": one.window_id, "agent": agent, "stream": "5" * 32, "sequence": number, "participant": participant,
        "session": features.session, "start": features.start, "end": features.end, "stratum": stratum.value,
        "inclusion_probability": 0.5, "model_version": 2, "baseline_seconds": 60, "camera_states": "on",
        "consent_id": "consent-1", "predictions": predictions, "received": 1_750_000_100.25,
        "record": codec.encode_record(record),
    }  # fmt: skip


def _alert(number: int, end: float | None) -> dict[str, Any]:
    return {
        "alert_id": _id(100 + number), "agent": "lab-1", "participant": "P01", "session": "s0001", "task": "stress",
        "start": 1_750_000_030.0, "end": end, "probability": 0.75, "threshold": 0.5, "model_version": 2,
        "window_id": _id(2), "consent_id": "consent-1", "received": 1_750_000_100.25,
    }  # fmt: skip


def _label(number: int, window_id: str, value: str, withdrawn: float | None = None) -> dict[str, Any]:
    return {
        "label_id": _id(200 + number), "window_id": window_id, "task": "stress", "value": value, "source": "observer",
        "rater": "ann", "confidence": 0.75, "created": 1_750_000_200.0, "received": 1_750_000_201.5,
        "withdrawn": withdrawn,
    }  # fmt: skip


def _decision(verdict: str, version: int | None) -> dict[str, Any]:
    return {
        "time": 1_750_000_300.0, "trigger": "5 new labels", "task": "stress", "verdict": verdict,
        "reason": "not worse than version 1", "candidate": 2, "parent": 1, "version": version, "labels": 3, "people": 2,
        "metrics": {"balanced_accuracy": 0.75, "interval": [0.5, 0.875]}, "last_label": 3,
    }  # fmt: skip


HEARTBEAT = {"stream": "5" * 32, "camera_state": "ok", "sent": 10, "acked": 7, "spooled": 2, "dropped": 1}
COUNT = {"agent": "lab-1", "model_version": 2, "task": "stress"}
ROWS: dict[str, Rows] = {
    "agents": [{"name": name, "last_seen": 1_750_000_099.5, "heartbeat": HEARTBEAT} for name in ("lab-1", "lab-2")],
    "windows": [
        _window(1, Stratum.AUDIT, "P01", [_said("stress", False, **NO_OFFSET)]),
        _window(2, Stratum.ALERT, "P01", [_said("stress", True, **NO_OFFSET), _said("focus", False, **NO_OFFSET)]),
        _window(3, Stratum.UNCERTAIN, "Łucja-07", [_said("stress", True, **OFFSET)], agent="lab-2"),
        _window(4, Stratum.UNCERTAIN, "P01", []),
        _window(5, Stratum.AUDIT, "P01", [_said("stress", False)]),
    ],
    "alerts": [_alert(1, None), _alert(2, 1_750_000_090.0)],
    "scored_counts": [
        {**COUNT, "stream": "5" * 32, "participant": "P01", "alerting": alerting, "windows": 40 + alerting}
        for alerting in (False, True)
    ],
    "weekly_counts": [{**COUNT, "week": 2893, "participant": "P01", "alerting": True, "windows": 41}],
    "audit_draws": [{"window_id": _id(1), "probability": 0.0625}],
    "people": [
        {"participant": "P01", "number": 1, "partition": "train"},
        {"participant": "Łucja-07", "number": 2, "partition": "holdout"},
    ],
    "labels": [
        _label(1, _id(1), "calm"), _label(2, _id(2), "true alarm", 1_750_000_250.0), _label(3, _id(3), "stressed"),
    ],
    "self_reports": [
        {
            "report_id": _id(300), "participant": "P01", "created": 1_750_000_060.0, "task": "stress", "value": "calm",
            "instrument": None, "answers": None, "score": None, "received": 1_750_000_061.0,
        },
        {
            "report_id": _id(301), "participant": "P01", "created": 1_750_000_062.0, "task": "anxiety", "value": "mild",
            "instrument": "gad7", "answers": [0, 1, 2, 3, 0, 1, 2], "score": 9, "received": 1_750_000_063.0,
        },
    ],
    "models": [
        {
            "version": version, "parent": version - 1, "created": 1_750_000_250.0, "status": status,
            "live_since": live, "tasks": ["stress"], "metrics": {"stress": {"n": 3}}, "bundle": b"\x08\x0a\x00onnx",
        }
        for version, status, live in ((1, "superseded", 1_750_000_260.0), (2, "current", None))
    ],
    "decisions": [_decision("refused", None), _decision("published", 2)],
}  # fmt: skip
"""`predictions` of window 5 are as they were written before there were personal offsets."""


def main() -> None:
    """Write the file."""
    FILE.unlink(missing_ok=True)
    FILE.parent.mkdir(exist_ok=True)
    put_first(FILE, ROWS)
    with closing(sqlite3.connect(FILE)) as connection:
        for pragma in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 1024", "VACUUM"):  # small, and one file
            connection.execute(pragma)


if __name__ == "__main__":
    main()
