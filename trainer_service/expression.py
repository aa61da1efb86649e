"""Which windows the heads for one expression model may learn from and be judged on.

A window names the model that saw the face. One that names none, of an agent from before windows did, counts as seen by
the model that Sentry ships.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, distinct, func, select

from perception.bundles import EXPRESSION_MODEL, sha256
from trainer_service import schema

UNSAID = ("",)


def names_of(model: str) -> tuple[str, ...]:
    """How windows may name an expression model, given by its hex SHA-256 or, if it is the shipped one, by nothing."""
    shipped = sha256(EXPRESSION_MODEL)
    digest = model or shipped
    return (digest, *UNSAID) if digest == shipped else (digest,)


def seen_by(names: tuple[str, ...]) -> ColumnElement[bool]:
    """Windows that give one of these names."""
    return schema.windows.c.expression.in_(names)


def set_aside(connection: Connection, names: tuple[str, ...]) -> int:
    """How many labelled windows give another name."""
    joined = schema.labels.join(schema.windows, schema.labels.c.window_id == schema.windows.c.window_id)
    chosen = select(func.count(distinct(schema.labels.c.window_id))).select_from(joined)
    return connection.scalar(chosen.where(schema.labels.c.withdrawn.is_(None), ~seen_by(names))) or 0
