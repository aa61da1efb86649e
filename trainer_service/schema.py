"""The store's tables.

A window's record is kept as it came over the wire (`sentry_proto.codec`), after the columns that are searched, so
that lists never read it.

Whoever changes anything here adds a migration (`make migration WORDS="what changes"`) and raises `REVISION`; a test
compares what the migrations make with these tables.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

REVISION = "0007"
"""The migration that makes these tables from those of its predecessor; later ones sort later."""

WHOLE = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere; SQLite numbers the rows of an INTEGER PRIMARY KEY only if it is called so."""

metadata = MetaData()

agents = Table(
    "agents",
    metadata,
    Column("name", String, primary_key=True),
    Column("last_seen", Float, nullable=False),
    Column("heartbeat", JSON, nullable=False),
)

windows = Table(
    "windows",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("window_id", String, nullable=False, unique=True),
    Column("agent", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("sequence", WHOLE, nullable=False),
    Column("participant", String, nullable=False, index=True),
    Column("session", String, nullable=False),
    Column("start", Float, nullable=False),
    Column("end", Float, nullable=False),
    Column("stratum", String, nullable=False),
    Column("inclusion_probability", Float, nullable=False),
    Column("model_version", WHOLE, nullable=False),
    Column("baseline_seconds", WHOLE, nullable=False),
    Column("camera_states", String, nullable=False),
    Column("consent_id", String, nullable=False),
    Column("expression", String, nullable=False, server_default=""),
    Column("predictions", JSON, nullable=False),
    Column("received", Float, nullable=False),
    Column("record", LargeBinary, nullable=False),
    UniqueConstraint("agent", "stream", "sequence"),
    Index("ix_windows_session", "session", "end"),
    Index("ix_windows_stratum", "stratum", "row"),
    Index("ix_windows_audit", "stratum", "baseline_seconds", "model_version", "window_id"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("alert_id", String, nullable=False, unique=True),
    Column("agent", String, nullable=False),
    Column("participant", String, nullable=False),
    Column("session", String, nullable=False),
    Column("task", String, nullable=False),
    Column("start", Float, nullable=False),
    Column("end", Float),
    Column("probability", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("model_version", WHOLE, nullable=False),
    Column("window_id", String, nullable=False, index=True),
    Column("consent_id", String, nullable=False),
    Column("received", Float, nullable=False),
    Index("ix_alerts_participant", "participant"),
)

scored_counts = Table(
    "scored_counts",
    metadata,
    Column("agent", String, primary_key=True),
    Column("stream", String, primary_key=True),
    Column("model_version", WHOLE, primary_key=True),
    Column("participant", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("alerting", Boolean, primary_key=True),
    Column("windows", WHOLE, nullable=False),
)

weekly_counts = Table(
    "weekly_counts",
    metadata,
    Column("week", WHOLE, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("model_version", WHOLE, primary_key=True),
    Column("participant", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("alerting", Boolean, primary_key=True),
    Column("windows", WHOLE, nullable=False),
)
"""What `scored_counts` grew by in each week, by the arrival of the heartbeats; see `store.week_of`."""

scores = Table(
    "scores",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("window_id", String, ForeignKey("windows.window_id", ondelete="CASCADE"), nullable=False),
    Column("task", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("participant", String, nullable=False),
    Column("session", String, nullable=False),
    Column("start", Float, nullable=False),
    Column("model_version", WHOLE, nullable=False),
    Column("stratum", String, nullable=False),
    Column("draw", Float),
    Column("probabilities", JSON, nullable=False),
    Column("entropy", Float, nullable=False),
    Column("alerting", Boolean, nullable=False),
    Column("generic_alerting", Boolean),
    UniqueConstraint("window_id", "task"),
    Index("ix_scores_stratum", "task", "stratum", "row"),
    Index("ix_scores_version", "task", "model_version", "stratum"),
)
"""What the heads said of each window, once more and without its features: rates count here, and read a hundredth of the
bytes. `draw` is the probability with which an audit window was drawn, `probabilities` those that decided, and
`generic_alerting` is null where no personal offset did.
"""

people = Table(
    "people",
    metadata,
    Column("participant", String, primary_key=True),
    Column("number", WHOLE, nullable=False, unique=True),
    Column("partition", String, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("label_id", String, nullable=False, unique=True),
    Column("window_id", String, ForeignKey("windows.window_id"), nullable=False),
    Column("participant", String, nullable=False),
    Column("task", String, nullable=False),
    Column("value", String, nullable=False),
    Column("source", String, nullable=False),
    Column("rater", String, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("received", Float, nullable=False),
    Column("withdrawn", Float),
    Index("ix_labels_window", "window_id", "task"),
    Index("ix_labels_task", "task", "row"),
    Index("ix_labels_participant", "participant", "withdrawn"),
    sqlite_autoincrement=True,
)
"""`participant` is the window's. A `row` is never used again: by it the learner, the rates and the agreement between
raters know how far they have read, and what was erased.
"""

self_reports = Table(
    "self_reports",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("report_id", String, nullable=False, unique=True),
    Column("participant", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("task", String, nullable=False),
    Column("value", String, nullable=False),
    Column("instrument", String),
    Column("answers", JSON(none_as_null=True)),
    Column("score", WHOLE),
    Column("words", String, nullable=False, server_default=""),
    Column("received", Float, nullable=False),
    Index("ix_self_reports_participant", "participant", "created"),
)

remarks = Table(
    "remarks",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("remark_id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("task", String, nullable=False),
    Column("participant", String, nullable=False),
    Column("time", Float, nullable=False),
    Column("rater", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("window_id", String, ForeignKey("windows.window_id", ondelete="CASCADE")),
    Column("words", String, nullable=False),
    Column("received", Float, nullable=False),
    Column("withdrawn", Float),
    Index("ix_remarks_window", "window_id", "task"),
    Index("ix_remarks_participant", "participant"),
)

models = Table(
    "models",
    metadata,
    Column("version", WHOLE, primary_key=True),
    Column("parent", WHOLE, nullable=False),
    Column("created", Float, nullable=False),
    Column("status", String, nullable=False),
    Column("live_since", Float),
    Column("tasks", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("bundle", LargeBinary, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("time", Float, nullable=False),
    Column("trigger", String, nullable=False),
    Column("task", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("candidate", WHOLE),
    Column("parent", WHOLE, nullable=False),
    Column("version", WHOLE, ForeignKey("models.version", ondelete="CASCADE")),
    Column("labels", WHOLE, nullable=False),
    Column("people", WHOLE, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("last_label", WHOLE, nullable=False),
    Index("ix_decisions_task", "task", "last_label"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("password", String),
    Column("email", String, unique=True),
    Column("created", Float, nullable=False),
)
"""`password` is a hash (`trainer_service.passwords`); null for somebody who only signs in elsewhere, by `email`."""

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("digest", String, primary_key=True),
    Column("name", String, ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("until", Float, nullable=False),
)
"""Who is signed in: SHA-256 of the token that the browser holds."""

links = Table(
    "links",
    metadata,
    Column("participant", String, primary_key=True),
    Column("digest", String, nullable=False, unique=True),
    Column("created", Float, nullable=False),
)
"""By which link each participant answers: SHA-256 of what stands in it."""

audit = Table(
    "audit",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("time", Float, nullable=False),
    Column("actor", String, nullable=False),
    Column("role", String, nullable=False),
    Column("action", String, nullable=False),
    Column("target", String, nullable=False),
    Column("participant", String, index=True),
    Column("details", String, nullable=False),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("participant", String, primary_key=True),
    Column("time", Float, nullable=False),
)
"""Whose consent the study has noted as withdrawn: nothing more of them is taken in."""

erasures = Table(
    "erasures",
    metadata,
    Column("row", WHOLE, primary_key=True),
    Column("digest", String, nullable=False, unique=True),
    Column("time", Float, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
)
"""Who was erased, as a hash of the pseudonym, so that what an agent still holds is refused."""
