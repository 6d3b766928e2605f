"""The settings: one frozen, typed object, read once from WORDCOUNT_* variables.

Every setting is a field of `Settings` that carries its parser and its help text. `Settings.read`
turns variables into values. It raises one line that names the first wrong variable.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app import parsers as parse
from app.errors import ConfigurationError
from app.parsers import FIELDS, ColumnMapping
from app.variables import PREFIX, read_values, setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FIELDS", "PREFIX", "ColumnMapping", "Settings", "describe"]

_MAX_WINDOWS_OF_A_LINE = 10_000
"""Maximum number of overlapping windows that one line may belong to."""

GroupingKey = Literal["none", "replica_set", "partition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the application. Durations are in milliseconds (`…_ms`), sizes in bytes."""

    broker: tuple[str, ...] = setting(
        "BROKER", "kafka://127.0.0.1:9092", parse.brokers, "Kafka brokers, ';' between them"
    )
    id: str = setting(
        "ID",
        "wordcount",
        parse.topic,
        "application id: consumer group, prefix of internal topics and of transactional ids",
    )
    lines: str = setting(
        "LINES",
        "lines",
        parse.topic,
        "source topic; created with WORDCOUNT_PARTITIONS partitions if it is missing",
    )
    partitions: int = setting(
        "PARTITIONS",
        "4",
        parse.integer(1, 10_000),
        "partitions of every topic that the app creates",
    )
    replication: int = setting(
        "REPLICATION", "1", parse.integer(1, 100), "replicas of every topic that the app creates"
    )
    words: Literal["whitespace", "unicode"] = setting(
        "WORDS",
        "whitespace",
        parse.choice("whitespace", "unicode"),
        "how to split words: whitespace (at runs of it, as is) or unicode (UAX #29, case-folded)",
    )
    window_ms: int | None = setting(
        "WINDOW",
        "1m",
        parse.window,
        "length of a window; none: running totals in one endless window",
    )
    step_ms: int | None = setting(
        "STEP",
        None,
        parse.positive_duration,
        "time from one window's start to the next (default: the window)",
    )
    grace_ms: int = setting(
        "GRACE",
        "1m",
        parse.duration_ms,
        "how far behind its partition's newest line a line may be once its window has ended",
    )
    retention_ms: int = setting(
        "RETENTION", "24h", parse.positive_duration, "how long a window stays in the table"
    )
    checkpoint_interval_ms: int = setting(
        "CHECKPOINT_INTERVAL", "1s", parse.positive_duration, "longest time between checkpoints"
    )
    flush_interval_ms: int = setting(
        "FLUSH_INTERVAL", "1s", parse.positive_duration, "how often changed counts go to Cassandra"
    )
    memory: int = setting(
        "MEMORY",
        "1GiB",
        parse.memory,
        "maximum memory of a worker, at least 512MiB; when a share is used up, its input waits",
    )
    print: int = setting(
        "PRINT", "10", parse.integer(0, 1000), "top words printed each interval; 0: none"
    )
    cassandra: tuple[tuple[str, int], ...] = setting(
        "CASSANDRA",
        "127.0.0.1:9042",
        parse.contact_points,
        "Cassandra contact points, ',' between them",
    )
    cassandra_datacenter: str | None = setting(
        "CASSANDRA_DATACENTER", None, parse.non_empty, "data centre whose nodes the driver uses"
    )
    cassandra_username: str | None = setting(
        "CASSANDRA_USERNAME", None, parse.non_empty, "user name at Cassandra"
    )
    cassandra_password: str | None = setting(
        "CASSANDRA_PASSWORD", None, parse.non_empty, "password of that user"
    )
    cassandra_password_file: Path | None = setting(
        "CASSANDRA_PASSWORD_FILE", None, parse.readable_file, "file that holds the password"
    )
    cassandra_ca: Path | None = setting(
        "CASSANDRA_CA",
        None,
        parse.readable_file,
        "CA certificates (PEM) that verify the certificates of the nodes; turns TLS on",
    )
    cassandra_cert: Path | None = setting(
        "CASSANDRA_CERT", None, parse.readable_file, "client certificate (PEM)"
    )
    cassandra_key: Path | None = setting(
        "CASSANDRA_KEY", None, parse.readable_file, "private key (PEM) of the client certificate"
    )
    keyspace: str = setting(
        "KEYSPACE", "streaming_test", parse.identifier, "keyspace of the counts"
    )
    table: str = setting("TABLE", "words", parse.identifier, "table of the counts")
    columns: ColumnMapping = setting(
        "COLUMNS",
        "word,window_start,count",
        parse.columns,
        f"columns to write, field:column to rename; fields: {', '.join(FIELDS)}",
    )
    top_words: int = setting(
        "TOP_WORDS",
        "0",
        parse.integer(0, 1000),
        "top words of each window and partition that go to a table of their own; 0: none",
    )
    top_table: str = setting("TOP_TABLE", "top_words", parse.identifier, "table of the top words")
    resave: bool = setting(
        "RESAVE",
        "false",
        parse.boolean,
        "write all rows again after the start, for a table that lost some: true, false",
    )
    output_consistency: str = setting(
        "OUTPUT_CONSISTENCY", "LOCAL_QUORUM", parse.consistency, "consistency level of writes"
    )
    output_ttl: int | Literal["window"] | None = setting(
        "OUTPUT_TTL",
        "none",
        parse.ttl,
        "time to live of a row: none, a duration, or window (expires with it)",
    )
    output_batch_rows: int | None = setting(
        "OUTPUT_BATCH_ROWS",
        None,
        parse.integer(1, 65_535),
        "maximum rows in a batch (default: as many as its bytes allow)",
    )
    output_batch_bytes: int = setting(
        "OUTPUT_BATCH_BYTES",
        "5KiB",
        parse.size,
        "maximum bytes in a batch; Cassandra warns above 5 KiB",
    )
    output_batch_grouping_key: GroupingKey = setting(
        "OUTPUT_BATCH_GROUPING_KEY",
        "replica_set",
        parse.choice("none", "replica_set", "partition"),
        "which rows share a batch: any (none), those of one replica_set, those of one partition",
    )
    output_batch_grouping_buffer: int = setting(
        "OUTPUT_BATCH_GROUPING_BUFFER",
        "1000",
        parse.integer(1),
        "maximum batches that are open at once",
    )
    output_concurrent_writes: int = setting(
        "OUTPUT_CONCURRENT_WRITES",
        "16",
        parse.integer(1, 1024),
        "maximum batches in flight at once",
    )
    output_throughput: int | None = setting(
        "OUTPUT_THROUGHPUT", None, parse.integer(1), "maximum rows per second (default: no limit)"
    )
    output_if_not_exists: bool = setting(
        "OUTPUT_IF_NOT_EXISTS",
        "false",
        parse.boolean,
        "insert a row only if it does not exist: true, false",
    )
    output_ignore_nulls: bool = setting(
        "OUTPUT_IGNORE_NULLS",
        "true",
        parse.boolean,
        "leave a column unchanged if its field has no value: true, false",
    )
    output_retries: int = setting(
        "OUTPUT_RETRIES",
        "10",
        parse.integer(0, 1000),
        "retries of a write that failed for a temporary reason",
    )
    web_host: str = setting(
        "WEB_HOST", "127.0.0.1", parse.non_empty, "address the web server listens on"
    )
    web_port: int = setting("WEB_PORT", "6066", parse.integer(1, 65_535), "port of the web server")
    web_token: str | None = setting(
        "WEB_TOKEN",
        None,
        parse.token,
        "token that requests must carry; required unless the web server listens on loopback",
    )
    web_token_file: Path | None = setting(
        "WEB_TOKEN_FILE", None, parse.readable_file, "file that holds the token"
    )
    web_cors: tuple[str, ...] | None = setting(
        "WEB_CORS",
        None,
        parse.origins,
        "other origins whose pages may send requests, ',' between them",
    )
    log_format: Literal["plain", "json"] = setting(
        "LOG_FORMAT", "plain", parse.choice("plain", "json"), "log lines: plain, or json objects"
    )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read WORDCOUNT_* of `environ` and of the file that WORDCOUNT_ENV_FILE names.

        A variable of the environment wins over the same one in the file; an empty value means the
        default. Raises ConfigurationError for an unknown WORDCOUNT_ variable and for a bad value.
        """
        settings = cls(**read_values(dataclasses.fields(cls), environ))
        _refuse_contradictions(settings)
        return settings

    @property
    def hop_ms(self) -> int | None:
        """Time from one window's start to the next, in ms; None with one endless window."""
        return self.step_ms or self.window_ms

    @property
    def password(self) -> str | None:
        """The Cassandra password, from its variable or its file."""
        if self.cassandra_password_file is not None:
            return self.cassandra_password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return self.cassandra_password

    @property
    def token(self) -> str | None:
        """The token that requests to the web server must carry, from its variable or its file."""
        if self.web_token_file is not None:
            return _token_in(self.web_token_file)
        return self.web_token

    @property
    def partials(self) -> str:
        """Topic of packed partial counts."""
        return f"{self.id}-partials"

    @property
    def late(self) -> str:
        """Topic of the late lines, unchanged."""
        return f"{self.id}-late"

    @property
    def positions(self) -> str:
        """Topic of the positions at which producers resume."""
        return f"{self.id}-positions"

    @property
    def rejected(self) -> str:
        """Topic of the messages that are not UTF-8, unchanged."""
        return f"{self.id}-rejected"

    @property
    def own_topics(self) -> frozenset[str]:
        """The topics whose names derive from the id; workers and producers write to them."""
        return frozenset({self.partials, self.late, self.positions, self.rejected, self.changelog})

    @property
    def changelog(self) -> str:
        """Topic of the rows of the table word_counts."""
        return f"{self.id}-word_counts-changelog"


def describe() -> list[tuple[str, str, str]]:
    """(variable, default, help) of every setting, in order."""
    return [
        (f.metadata["variable"], f.metadata["default"] or "", f.metadata["help"])
        for f in dataclasses.fields(Settings)
    ]


def _token_in(path: Path) -> str:
    try:
        return parse.token(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{PREFIX}WEB_TOKEN_FILE={path}: its token {error}") from None


def _refuse_contradictions(settings: Settings) -> None:
    window, step = settings.window_ms, settings.step_ms
    fields = dict(settings.columns)
    contradictions: list[tuple[bool, str]] = [
        (
            window is None and step is not None,
            "STEP: running totals (WORDCOUNT_WINDOW=none) have no step; unset it",
        ),
        (
            window is not None and step is not None and step > window,
            "STEP: must not exceed WORDCOUNT_WINDOW, or lines between windows are not counted",
        ),
        (
            window is not None and step is not None and window > step * _MAX_WINDOWS_OF_A_LINE,
            f"STEP: must be at least 1/{_MAX_WINDOWS_OF_A_LINE} of WORDCOUNT_WINDOW",
        ),
        (
            settings.lines in settings.own_topics,
            f"LINES={settings.lines}: a worker writes to it; name another, or change WORDCOUNT_ID",
        ),
        (
            window is not None and settings.retention_ms < window + settings.grace_ms,
            "RETENTION: must be at least the sum of WORDCOUNT_WINDOW and WORDCOUNT_GRACE",
        ),
        (
            window is not None and "window_start" not in fields and "window_end" not in fields,
            "COLUMNS: lacks window_start, needed unless WORDCOUNT_WINDOW=none; add it",
        ),
        (
            window is None and "window_end" in fields,
            "COLUMNS: names window_end, but WORDCOUNT_WINDOW=none has no end; remove it",
        ),
        (
            window is None and settings.output_ttl == "window",
            "OUTPUT_TTL=window: with WORDCOUNT_WINDOW=none no window ends; set a duration or none",
        ),
        (
            settings.top_words > 0 and settings.top_table == settings.table,
            "TOP_TABLE: is WORDCOUNT_TABLE; the top words need a table of their own",
        ),
        (
            settings.top_words > 0 and settings.output_if_not_exists,
            "TOP_WORDS: ranks change, which WORDCOUNT_OUTPUT_IF_NOT_EXISTS forbids; unset one",
        ),
        (
            settings.cassandra_password is not None
            and settings.cassandra_password_file is not None,
            "CASSANDRA_PASSWORD_FILE: WORDCOUNT_CASSANDRA_PASSWORD is set too; set one of them",
        ),
        (
            (settings.cassandra_username is None) != (settings.password is None),
            "CASSANDRA_USERNAME: requires WORDCOUNT_CASSANDRA_PASSWORD (or _FILE); set both",
        ),
        (
            (settings.cassandra_cert is None) != (settings.cassandra_key is None),
            "CASSANDRA_CERT: requires WORDCOUNT_CASSANDRA_KEY; set both or neither",
        ),
        (
            settings.cassandra_cert is not None and settings.cassandra_ca is None,
            "CASSANDRA_CERT: requires WORDCOUNT_CASSANDRA_CA, which turns TLS on",
        ),
        (
            settings.web_token is not None and settings.web_token_file is not None,
            "WEB_TOKEN_FILE: WORDCOUNT_WEB_TOKEN is set too; set one of them",
        ),
    ]
    for contradicts, message in contradictions:
        if contradicts:
            raise ConfigurationError(PREFIX + message)
    settings.token  # noqa: B018 - the property checks the file
