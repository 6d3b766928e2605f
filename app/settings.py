"""The settings: one frozen, typed object, read once from WORDCOUNT_* variables.

Every setting is a field of `Settings` that carries its parser and its help text. `Settings.read`
turns variables into values and stops at the first wrong one with a line that names it.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from app import parsers as parse
from app.errors import ConfigurationError
from app.parsers import FIELDS, ColumnMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FIELDS", "PREFIX", "ColumnMapping", "Settings", "describe"]

PREFIX = "WORDCOUNT_"
ENV_FILE = PREFIX + "ENV_FILE"

_MOST_WINDOWS = 10_000
"""In how many windows that hop one line may count."""

GroupingKey = Literal["none", "replica_set", "partition"]


def _is_secret(variable: str) -> bool:
    return variable.endswith(("PASSWORD", "TOKEN"))


def _setting(
    variable: str, default: str | None, parse: Callable[[str], Any], help_text: str
) -> Any:
    return dataclasses.field(
        repr=not _is_secret(variable),
        metadata={
            "variable": PREFIX + variable,
            "default": default,
            "parse": parse,
            "help": help_text,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a user can set. Durations are in milliseconds (`…_ms`), sizes in bytes."""

    broker: tuple[str, ...] = _setting(
        "BROKER", "kafka://127.0.0.1:9092", parse.brokers, "Kafka brokers, ';' between them"
    )
    id: str = _setting(
        "ID",
        "wordcount",
        parse.topic,
        "application id: consumer group, prefix of internal topics and of transactional ids",
    )
    lines: str = _setting(
        "LINES",
        "lines",
        parse.topic,
        "source topic; made with WORDCOUNT_PARTITIONS if it is missing",
    )
    partitions: int = _setting(
        "PARTITIONS", "4", parse.integer(1, 10_000), "partitions of every topic that the app makes"
    )
    replication: int = _setting(
        "REPLICATION", "1", parse.integer(1, 100), "replicas of every topic that the app makes"
    )
    words: Literal["whitespace", "unicode"] = _setting(
        "WORDS",
        "whitespace",
        parse.choice("whitespace", "unicode"),
        "what a word is: whitespace (split on runs of it, as is) or unicode (UAX #29, case-folded)",
    )
    window_ms: int | None = _setting(
        "WINDOW",
        "1m",
        parse.window,
        "length of a window; none: running totals in one endless window",
    )
    step_ms: int | None = _setting(
        "STEP", None, parse.positive_duration, "time from one window's start to the next (= window)"
    )
    grace_ms: int = _setting(
        "GRACE",
        "1m",
        parse.duration_ms,
        "how far behind its partition's newest line a line may be once its window has ended",
    )
    retention_ms: int = _setting(
        "RETENTION", "24h", parse.positive_duration, "how long a window stays in the table"
    )
    checkpoint_interval_ms: int = _setting(
        "CHECKPOINT_INTERVAL", "1s", parse.positive_duration, "longest time between checkpoints"
    )
    flush_interval_ms: int = _setting(
        "FLUSH_INTERVAL", "1s", parse.positive_duration, "how often changed counts go to Cassandra"
    )
    memory: int = _setting(
        "MEMORY",
        "1GiB",
        parse.memory,
        "most memory that a worker takes, at least 512MiB; what is full makes others wait",
    )
    print: int = _setting(
        "PRINT", "10", parse.integer(0, 1000), "top words printed each interval; 0: none"
    )
    cassandra: tuple[tuple[str, int], ...] = _setting(
        "CASSANDRA",
        "127.0.0.1:9042",
        parse.contact_points,
        "Cassandra contact points, ',' between them",
    )
    cassandra_datacenter: str | None = _setting(
        "CASSANDRA_DATACENTER", None, parse.non_empty, "the data centre whose nodes are asked first"
    )
    cassandra_username: str | None = _setting(
        "CASSANDRA_USERNAME", None, parse.non_empty, "user name"
    )
    cassandra_password: str | None = _setting(
        "CASSANDRA_PASSWORD", None, parse.non_empty, "password"
    )
    cassandra_password_file: Path | None = _setting(
        "CASSANDRA_PASSWORD_FILE", None, parse.readable_file, "file that holds the password"
    )
    cassandra_ca: Path | None = _setting(
        "CASSANDRA_CA",
        None,
        parse.readable_file,
        "certificates (PEM) that the nodes' must descend from: TLS on",
    )
    cassandra_cert: Path | None = _setting(
        "CASSANDRA_CERT", None, parse.readable_file, "client certificate (PEM)"
    )
    cassandra_key: Path | None = _setting(
        "CASSANDRA_KEY", None, parse.readable_file, "its private key (PEM)"
    )
    keyspace: str = _setting(
        "KEYSPACE", "streaming_test", parse.identifier, "keyspace of the counts"
    )
    table: str = _setting("TABLE", "words", parse.identifier, "table of the counts")
    columns: ColumnMapping = _setting(
        "COLUMNS",
        "word,window_start,count",
        parse.columns,
        f"what is written, field:column to rename; fields: {', '.join(FIELDS)}",
    )
    top_words: int = _setting(
        "TOP_WORDS",
        "0",
        parse.integer(0, 1000),
        "top words of each window and partition that go to a table of their own; 0: none",
    )
    top_table: str = _setting("TOP_TABLE", "top_words", parse.identifier, "that table")
    resave: bool = _setting(
        "RESAVE",
        "false",
        parse.boolean,
        "after the start write all rows again, for a table that lost some: true, false",
    )
    output_consistency: str = _setting(
        "OUTPUT_CONSISTENCY", "LOCAL_QUORUM", parse.consistency, "consistency level of writes"
    )
    output_ttl: int | Literal["window"] | None = _setting(
        "OUTPUT_TTL", "none", parse.ttl, "life of a row: none, a duration, or window (goes with it)"
    )
    output_batch_rows: int | None = _setting(
        "OUTPUT_BATCH_ROWS",
        None,
        parse.integer(1, 65_535),
        "rows in a batch (as many as its bytes allow)",
    )
    output_batch_bytes: int = _setting(
        "OUTPUT_BATCH_BYTES", "5KiB", parse.size, "bytes in a batch; Cassandra warns past 5 KiB"
    )
    output_batch_grouping_key: GroupingKey = _setting(
        "OUTPUT_BATCH_GROUPING_KEY",
        "replica_set",
        parse.choice("none", "replica_set", "partition"),
        "which rows share a batch: any (none), those of one replica_set, those of one partition",
    )
    output_batch_grouping_buffer: int = _setting(
        "OUTPUT_BATCH_GROUPING_BUFFER", "1000", parse.integer(1), "batches that are open at once"
    )
    output_concurrent_writes: int = _setting(
        "OUTPUT_CONCURRENT_WRITES", "16", parse.integer(1, 1024), "batches under way at once"
    )
    output_throughput: int | None = _setting(
        "OUTPUT_THROUGHPUT", None, parse.integer(1), "most rows a second (no limit)"
    )
    output_if_not_exists: bool = _setting(
        "OUTPUT_IF_NOT_EXISTS",
        "false",
        parse.boolean,
        "write a row only where there is none: true, false",
    )
    output_ignore_nulls: bool = _setting(
        "OUTPUT_IGNORE_NULLS",
        "true",
        parse.boolean,
        "leave a column as it is where a field has no value",
    )
    output_retries: int = _setting(
        "OUTPUT_RETRIES",
        "10",
        parse.integer(0, 1000),
        "tries after a write that failed for a while",
    )
    web_host: str = _setting(
        "WEB_HOST", "127.0.0.1", parse.non_empty, "address the web server listens on"
    )
    web_port: int = _setting("WEB_PORT", "6066", parse.integer(1, 65_535), "port of the web server")
    web_token: str | None = _setting(
        "WEB_TOKEN",
        None,
        parse.token,
        "what whoever asks must know; needed where the web server does not listen on loopback",
    )
    web_token_file: Path | None = _setting(
        "WEB_TOKEN_FILE", None, parse.readable_file, "file that holds the token"
    )
    web_cors: tuple[str, ...] | None = _setting(
        "WEB_CORS", None, parse.origins, "other web sites whose pages may ask, ',' between them"
    )
    log_format: Literal["plain", "json"] = _setting(
        "LOG_FORMAT", "plain", parse.choice("plain", "json"), "log lines: plain, or json objects"
    )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read WORDCOUNT_* of `environ` and of the file that WORDCOUNT_ENV_FILE names.

        A variable of the environment wins over the same one in the file; an empty value means the
        default. Raises ConfigurationError for an unknown WORDCOUNT_ variable and for a bad value.
        """
        given = {name: _Given(text) for name, text in environ.items() if name.startswith(PREFIX)}
        env_file = given.pop(ENV_FILE, _Given("")).text
        if env_file:
            given = {**_read_env_file(env_file), **given}
        fields = dataclasses.fields(cls)
        _refuse_unknown(given, [field.metadata["variable"] for field in fields])
        values = {field.name: _value(field.metadata, given) for field in fields}
        settings = cls(**values)
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
        """What whoever asks the web server must know, from its variable or its file."""
        if self.web_token_file is not None:
            return _token_in(self.web_token_file)
        return self.web_token

    @property
    def partials(self) -> str:
        """Topic of packed partial counts."""
        return f"{self.id}-partials"

    @property
    def late(self) -> str:
        """Topic of the lines that came too late, unchanged."""
        return f"{self.id}-late"

    @property
    def positions(self) -> str:
        """Topic of the positions at which producers go on."""
        return f"{self.id}-positions"

    @property
    def rejected(self) -> str:
        """Topic of the messages that are not UTF-8, unchanged."""
        return f"{self.id}-rejected"

    @property
    def own_topics(self) -> frozenset[str]:
        """The topics that are made of the id: what workers write, and where producers are."""
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


class _Given(NamedTuple):
    """What was set: the text, and where in a file; the environment has no place."""

    text: str
    place: str = ""


def _token_in(path: Path) -> str:
    try:
        return parse.token(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{PREFIX}WEB_TOKEN_FILE={path}: its token {error}") from None


def _read_env_file(name: str) -> dict[str, _Given]:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{ENV_FILE}={name}: cannot be read: {error}") from None
    given = {}
    for number, line in enumerate(text.splitlines(), 1):
        assignment = line.strip().removeprefix("export ")
        if not assignment or assignment.startswith("#"):
            continue
        place = f"{name}, line {number}: "
        variable, separator, value = assignment.partition("=")
        if not separator or not variable.startswith(PREFIX) or variable == ENV_FILE:
            # The line is not shown: it may hold a password.
            raise ConfigurationError(f"{place}is not WORDCOUNT_NAME=value")
        given[variable.strip()] = _Given(_unquoted(value.strip()), place)
    return given


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _refuse_unknown(given: Mapping[str, _Given], known: list[str]) -> None:
    for variable, (_, place) in given.items():
        if variable not in known:
            # Without the prefix, which would make any two names alike.
            names = {name.removeprefix(PREFIX): name for name in known}
            near = difflib.get_close_matches(variable.removeprefix(PREFIX).upper(), names, 1)
            hint = (
                f"did you mean {names[near[0]]}?"
                if near
                else "see the table of settings in README.md"
            )
            raise ConfigurationError(f"{place}{variable}: there is no such setting; {hint}")


def _value(metadata: Mapping[str, Any], given: Mapping[str, _Given]) -> Any:
    variable = metadata["variable"]
    text, place = given.get(variable, _Given(""))
    text = text or metadata["default"]
    if text is None:
        return None
    try:
        return cast("Callable[[str], Any]", metadata["parse"])(text)
    except ValueError as error:
        shown = "***" if _is_secret(variable) else text
        raise ConfigurationError(f"{place}{variable}={shown}: {error}") from None


def _refuse_contradictions(settings: Settings) -> None:
    window, step = settings.window_ms, settings.step_ms
    fields = dict(settings.columns)
    contradictions: list[tuple[bool, str]] = [
        (
            window is None and step is not None,
            "STEP: running totals (WORDCOUNT_WINDOW=none) do not hop",
        ),
        (
            window is not None and step is not None and step > window,
            "STEP: must not be longer than WORDCOUNT_WINDOW, or lines between windows go uncounted",
        ),
        (
            window is not None and step is not None and window > step * _MOST_WINDOWS,
            f"STEP: must be at least 1/{_MOST_WINDOWS} of WORDCOUNT_WINDOW: a line is in too many",
        ),
        (
            settings.lines in settings.own_topics,
            f"LINES={settings.lines}: a worker writes to it; name another, or change WORDCOUNT_ID",
        ),
        (
            window is not None and settings.retention_ms < window + settings.grace_ms,
            "RETENTION: must be at least WORDCOUNT_WINDOW and WORDCOUNT_GRACE together",
        ),
        (
            window is not None and "window_start" not in fields and "window_end" not in fields,
            "COLUMNS: lacks window_start, needed unless WORDCOUNT_WINDOW=none; add it",
        ),
        (
            window is None and "window_end" in fields,
            "COLUMNS: names window_end, but WORDCOUNT_WINDOW=none has no end",
        ),
        (
            window is None and settings.output_ttl == "window",
            "OUTPUT_TTL=window: WORDCOUNT_WINDOW=none has no end to expire with",
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
            "CASSANDRA_PASSWORD_FILE: is set beside WORDCOUNT_CASSANDRA_PASSWORD; set one of them",
        ),
        (
            (settings.cassandra_username is None) != (settings.password is None),
            "CASSANDRA_USERNAME: goes with WORDCOUNT_CASSANDRA_PASSWORD (or _FILE); set both",
        ),
        (
            (settings.cassandra_cert is None) != (settings.cassandra_key is None),
            "CASSANDRA_CERT: goes with WORDCOUNT_CASSANDRA_KEY; set both or neither",
        ),
        (
            settings.cassandra_cert is not None and settings.cassandra_ca is None,
            "CASSANDRA_CERT: needs WORDCOUNT_CASSANDRA_CA, which turns TLS on",
        ),
        (
            settings.web_token is not None and settings.web_token_file is not None,
            "WEB_TOKEN_FILE: is set beside WORDCOUNT_WEB_TOKEN; set one of them",
        ),
    ]
    for wrong, what in contradictions:
        if wrong:
            raise ConfigurationError(PREFIX + what)
    settings.token  # noqa: B018 - reading it checks the file
