"""The tables. Columns are what is searched or compared; what is only kept and shown is JSON text.

Times are seconds since the epoch as floating point numbers, enums are their strings, and no column
has a type that SQLite and Postgres would treat differently.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

meta = Table(
    "vagus_meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("component", String, nullable=False),
    Column("replica", String, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("activity", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("closed_at", Float),
    Column("retry_at", Float),
    Index("incidents_by_state", "state", "component"),
    Index("incidents_by_time", "opened_at"),
)

findings = Table(
    "findings",
    metadata,
    Column("incident", String, ForeignKey("incidents.id"), nullable=False),
    Column("component", String, nullable=False),
    Column("replica", String, nullable=False),
    Column("symptom", String, nullable=False),
    Column("sense", String, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("observed", Float),
    Column("expected", Float),
    Column("unit", String, nullable=False),
    Column("since", Float),
    Column("closed_at", Float),
    PrimaryKeyConstraint("incident", "component", "replica", "symptom", "sense"),
)

intents = Table(
    "intents",
    metadata,
    Column("token", String, primary_key=True),
    Column("incident", String, nullable=False),
    Column("component", String, nullable=False),  # of the target
    Column("state", String, nullable=False),
    Column("request", Text, nullable=False),
    Column("ruling", Text, nullable=False),
    Column("verification", Text, nullable=False),  # CHECK is a word of SQL
    Column("created_at", Float, nullable=False),
    Column("acted_at", Float),
    Column("finished_at", Float),
    Column("note", Text, nullable=False),
    Index("intents_by_state", "state"),
    Index("intents_by_time", "component", "created_at"),
    Index("intents_by_act", "component", "acted_at"),
    Index("intents_by_incident", "incident"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("component", String, nullable=False),
    Column("replica", String, nullable=False),
    Column("aspect", String, nullable=False),
    Column("incident", String, nullable=False),
    Column("value", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    PrimaryKeyConstraint("component", "replica", "aspect", "incident"),
)

leases = Table(
    "leases",
    metadata,
    Column("component", String, nullable=False),
    Column("replica", String, nullable=False),
    Column("owner", String, nullable=False),  # "": nobody
    Column("fencing", Integer, nullable=False),
    Column("expires_at", Float, nullable=False),
    PrimaryKeyConstraint("component", "replica"),
)

leader = Table(
    "leader",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1: there is one row
    Column("owner", String, nullable=False),
    Column("fencing", Integer, nullable=False),
    Column("expires_at", Float, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("workflow", String, nullable=False),
    Column("step", String, nullable=False),
    Column("event", String, nullable=False),
    Column("facts", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    UniqueConstraint("workflow", "step", "event"),
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", String, primary_key=True),  # the token of the request
    Column("incident", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("rung", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("request", Text, nullable=False),
    Column("asks", Text, nullable=False),
    Column("binding", String, nullable=False),
    Column("sheet", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("decided_at", Float),
    Column("note", Text, nullable=False),
    Index("proposals_by_state", "state"),
    Index("proposals_by_time", "created_at"),
    Index("proposals_by_rung", "incident", "epoch", "rung"),
)

answers = Table(
    "answers",
    metadata,
    Column("proposal", String, ForeignKey("proposals.id"), nullable=False),
    Column("by", String, nullable=False),
    Column("yes", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("proposal", "by"),  # one person, one answer
)

trials = Table(
    "trials",
    metadata,
    Column("token", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("action", String, nullable=False),
    Column("fault", String, nullable=False),
    Column("component", String, nullable=False),
    Column("replica", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("took", Float, nullable=False),
    Column("experiment", String, nullable=False),
    Index("trials_by_remedy", "action", "fault", "component", "environment"),
)

licences = Table(
    "licences",
    metadata,
    Column("id", String, primary_key=True),
    Column("action", String, nullable=False),
    Column("component", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("fault", String, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("issued_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("bound", Float, nullable=False),
    Column("took_p95", Float),
    Column("experiments", Text, nullable=False),
    Column("revoked_at", Float),
    Column("revoked_because", Text, nullable=False),
)

controls = Table(
    "controls",
    metadata,
    Column("name", String, primary_key=True),  # kill_switch | mode
    Column("value", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),  # of the person or the program
    Column("role", String, nullable=False),
    Column("hash", String, nullable=False),  # SHA-256 of a secret of 256 random bits
    Column("created_at", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    UniqueConstraint("hash"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", String, primary_key=True),
    Column("component", String, nullable=False),
    Column("version", String, nullable=False),
    Column("previous", String, nullable=False),
    Column("replicas", Text, nullable=False),  # those that run the new version
    Column("started_at", Float, nullable=False),
    Column("started_by", String, nullable=False),
    Column("finished_at", Float),
    Column("verdict", String, nullable=False),
)

injections = Table(
    "injections",
    metadata,
    Column("id", String, primary_key=True),
    Column("experiment", String, nullable=False),
    Column("fault", String, nullable=False),
    Column("component", String, nullable=False),
    Column("replica", String, nullable=False),
    Column("does", Text, nullable=False),
    Column("lease", Float, nullable=False),  # s
    Column("cap", Float, nullable=False),
    Column("causes", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("verdict", String, nullable=False),
    Column("note", Text, nullable=False),
    Index("injections_by_time", "asked_at"),
)

served_hours = Table(
    "served_hours",
    metadata,
    Column("component", String, nullable=False),
    Column("hour", Integer, nullable=False),  # since the epoch
    Column("failed", Float, nullable=False),
    Column("requests", Float, nullable=False),
    PrimaryKeyConstraint("component", "hour"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("reader", String, primary_key=True),
    Column("seq", Integer, nullable=False),  # the last entry of the ledger that it has read
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", String, primary_key=True),  # ledger entry and target
    Column("seq", Integer, nullable=False),  # of the entry in the ledger
    Column("target", String, nullable=False),
    Column("occasion", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String, nullable=False),  # waiting | sent | given-up
    Column("tries", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Index("notifications_by_due", "state", "target", "next_at"),
)
