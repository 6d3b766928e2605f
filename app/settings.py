"""The settings: one frozen, typed object, read once from WORDCOUNT_* variables.

Every setting is a field of `Settings` that carries its parser and its help text. `Settings.read`
turns variables into values and stops at the first wrong one with a line that names it.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from app.errors import ConfigurationError

__all__ = ["FIELDS", "PREFIX", "ColumnMapping", "Settings", "describe"]

PREFIX = "WORDCOUNT_"
ENV_FILE = PREFIX + "ENV_FILE"

FIELDS = ("word", "window_start", "window_end", "count", "updated_at")
"""What a row can hold; WORDCOUNT_COLUMNS maps these to columns."""

ColumnMapping = tuple[tuple[str, str], ...]
"""(field, column) pairs in the order in which they are written."""

GroupingKey = Literal["none", "replica_set", "partition"]

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_CONSISTENCY_LEVELS = (
    "ANY",
    "ONE",
    "TWO",
    "THREE",
    "QUORUM",
    "ALL",
    "LOCAL_QUORUM",
    "EACH_QUORUM",
    "LOCAL_ONE",
)


def duration_ms(text: str) -> int:
    """Milliseconds of `500ms`, `5s`, `10m`, `24h`, `7d`."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    if match is None:
        raise ValueError("is not a duration; write it as 500ms, 5s, 10m or 24h")
    return int(match[1]) * _MILLISECONDS[match[2]]


def _positive_duration(text: str) -> int:
    duration = duration_ms(text)
    if duration == 0:
        raise ValueError("must be longer than nothing")
    return duration


def _window(text: str) -> int | None:
    return None if text == "none" else _positive_duration(text)


def _ttl(text: str) -> int | Literal["window"] | None:
    if text == "none":
        return None
    return "window" if text == "window" else _positive_duration(text)


def _size(text: str) -> int:
    """Bytes of `512`, `64KiB`, `1MiB`, `2GiB`."""
    match = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB)?", text)
    if match is None:
        raise ValueError("is not a size; write it as 64KiB or 1MiB")
    size = int(match[1]) * _BYTES[match[2] or "B"]
    if size == 0:
        raise ValueError("must be more than nothing")
    return size


def _integer(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if re.fullmatch(r"\d+", text, re.ASCII) is None:
            raise ValueError("is not a whole number")
        number = int(text)
        if number < low or (high is not None and number > high):
            bound = f"between {low} and {high}" if high is not None else f"at least {low}"
            raise ValueError(f"must be {bound}")
        return number

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _consistency(text: str) -> str:
    return _choice(*_CONSISTENCY_LEVELS)(text.upper())


def _boolean(text: str) -> bool:
    return _choice("true", "false")(text.lower()) == "true"


def _name(pattern: str, what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(what)
        return text

    return parse


_topic = _name(
    r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}",
    "must be 1 to 200 letters, digits, dots, hyphens or underscores",
)
_identifier = _name(
    r"[A-Za-z][A-Za-z0-9_]{0,47}",
    "must start with a letter and hold at most 48 letters, digits and underscores",
)


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _address(default_port: int) -> Callable[[str], tuple[str, int]]:
    def parse(text: str) -> tuple[str, int]:
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", text)
        if match is None or not 0 < int(match[2] or default_port) < 65536:
            raise ValueError(f"{text!r} is not host:port")
        return match[1], int(match[2] or default_port)

    return parse


def _brokers(text: str) -> tuple[str, ...]:
    brokers = []
    for part in text.split(";"):
        scheme, separator, rest = part.strip().partition("://")
        if separator and scheme != "kafka":
            raise ValueError(f"{part!r} is not a Kafka broker; write kafka://host:port")
        host, port = _address(9092)(rest if separator else scheme)
        brokers.append(f"{host}:{port}")
    return tuple(brokers)


def _contact_points(text: str) -> tuple[tuple[str, int], ...]:
    points = tuple(_address(9042)(part.strip()) for part in text.split(","))
    if len({port for _, port in points}) > 1:
        raise ValueError("must name one port for all contact points")
    return points


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError(f"{text!r} is not a file that can be read")
    return path


def _columns(text: str) -> ColumnMapping:
    mapping = []
    for part in text.split(","):
        field, _, column = part.strip().partition(":")
        if field not in FIELDS:
            raise ValueError(f"names the field {field!r}; there are {', '.join(FIELDS)}")
        try:
            mapping.append((field, _identifier(column or field)))
        except ValueError as error:
            raise ValueError(f"names the column {column!r}, which {error}") from None
    for place, kind in enumerate(("field", "column")):
        seen = [pair[place] for pair in mapping]
        twice = next((name for name in seen if seen.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"names the {kind} {twice!r} twice")
    missing = next((field for field in ("word", "count") if field not in dict(mapping)), None)
    if missing is not None:
        raise ValueError(f"lacks the field {missing!r}, without which a row says nothing")
    return tuple(mapping)


def _setting(
    variable: str, default: str | None, parse: Callable[[str], Any], help_text: str
) -> Any:
    return dataclasses.field(
        metadata={
            "variable": PREFIX + variable,
            "default": default,
            "parse": parse,
            "help": help_text,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a user can set. Durations are in milliseconds (`…_ms`), sizes in bytes."""

    broker: tuple[str, ...] = _setting(
        "BROKER", "kafka://127.0.0.1:9092", _brokers, "Kafka brokers, ';' between them"
    )
    id: str = _setting(
        "ID",
        "wordcount",
        _topic,
        "application id: consumer group, prefix of internal topics and of transactional ids",
    )
    lines: str = _setting(
        "LINES", "lines", _topic, "source topic; made with WORDCOUNT_PARTITIONS if it is missing"
    )
    partitions: int = _setting(
        "PARTITIONS", "4", _integer(1, 10_000), "partitions of every topic that the app makes"
    )
    replication: int = _setting(
        "REPLICATION", "1", _integer(1, 100), "replicas of every topic that the app makes"
    )
    words: Literal["whitespace", "unicode"] = _setting(
        "WORDS",
        "whitespace",
        _choice("whitespace", "unicode"),
        "what a word is: whitespace (split on runs of it, as is) or unicode (UAX #29, case-folded)",
    )
    window_ms: int | None = _setting(
        "WINDOW", "1m", _window, "length of a window; none: running totals in one endless window"
    )
    step_ms: int | None = _setting(
        "STEP", None, _positive_duration, "time from one window's start to the next (= window)"
    )
    grace_ms: int = _setting(
        "GRACE",
        "1m",
        duration_ms,
        "how far behind its partition's newest line a line may be once its window has ended",
    )
    retention_ms: int = _setting(
        "RETENTION", "24h", _positive_duration, "how long a window stays in the table"
    )
    checkpoint_interval_ms: int = _setting(
        "CHECKPOINT_INTERVAL", "1s", _positive_duration, "longest time between checkpoints"
    )
    flush_interval_ms: int = _setting(
        "FLUSH_INTERVAL", "1s", _positive_duration, "how often changed counts go to Cassandra"
    )
    print: int = _setting(
        "PRINT", "10", _integer(0, 1000), "top words printed each interval; 0: none"
    )
    cassandra: tuple[tuple[str, int], ...] = _setting(
        "CASSANDRA", "127.0.0.1:9042", _contact_points, "Cassandra contact points, ',' between them"
    )
    cassandra_datacenter: str | None = _setting(
        "CASSANDRA_DATACENTER", None, _text, "the data centre whose nodes are asked first"
    )
    cassandra_username: str | None = _setting("CASSANDRA_USERNAME", None, _text, "user name")
    cassandra_password: str | None = _setting("CASSANDRA_PASSWORD", None, _text, "password")
    cassandra_password_file: Path | None = _setting(
        "CASSANDRA_PASSWORD_FILE", None, _file, "file that holds the password"
    )
    cassandra_ca: Path | None = _setting(
        "CASSANDRA_CA", None, _file, "certificates (PEM) that the nodes' must descend from: TLS on"
    )
    cassandra_cert: Path | None = _setting(
        "CASSANDRA_CERT", None, _file, "client certificate (PEM)"
    )
    cassandra_key: Path | None = _setting("CASSANDRA_KEY", None, _file, "its private key (PEM)")
    keyspace: str = _setting("KEYSPACE", "streaming_test", _identifier, "keyspace of the counts")
    table: str = _setting("TABLE", "words", _identifier, "table of the counts")
    columns: ColumnMapping = _setting(
        "COLUMNS",
        "word,window_start,count",
        _columns,
        f"what is written, field:column to rename; fields: {', '.join(FIELDS)}",
    )
    output_consistency: str = _setting(
        "OUTPUT_CONSISTENCY", "LOCAL_QUORUM", _consistency, "consistency level of writes"
    )
    output_ttl: int | Literal["window"] | None = _setting(
        "OUTPUT_TTL", "none", _ttl, "life of a row: none, a duration, or window (goes with it)"
    )
    output_batch_rows: int | None = _setting(
        "OUTPUT_BATCH_ROWS",
        None,
        _integer(1, 65_535),
        "rows in a batch (as many as its bytes allow)",
    )
    output_batch_bytes: int = _setting(
        "OUTPUT_BATCH_BYTES", "4KiB", _size, "bytes in a batch; Cassandra warns past 5 KiB"
    )
    output_batch_grouping_key: GroupingKey = _setting(
        "OUTPUT_BATCH_GROUPING_KEY",
        "replica_set",
        _choice("none", "replica_set", "partition"),
        "which rows share a batch: any (none), those of one replica_set, those of one partition",
    )
    output_batch_grouping_buffer: int = _setting(
        "OUTPUT_BATCH_GROUPING_BUFFER", "1000", _integer(1), "batches that are open at once"
    )
    output_concurrent_writes: int = _setting(
        "OUTPUT_CONCURRENT_WRITES", "8", _integer(1, 1024), "batches under way at once"
    )
    output_throughput: int | None = _setting(
        "OUTPUT_THROUGHPUT", None, _integer(1), "most rows a second (no limit)"
    )
    output_if_not_exists: bool = _setting(
        "OUTPUT_IF_NOT_EXISTS",
        "false",
        _boolean,
        "write a row only where there is none: true, false",
    )
    output_ignore_nulls: bool = _setting(
        "OUTPUT_IGNORE_NULLS",
        "true",
        _boolean,
        "leave a column as it is where a field has no value",
    )
    output_retries: int = _setting(
        "OUTPUT_RETRIES", "10", _integer(0, 1000), "tries after a write that failed for a while"
    )
    web_host: str = _setting("WEB_HOST", "127.0.0.1", _text, "address the web server listens on")
    web_port: int = _setting("WEB_PORT", "6066", _integer(1, 65_535), "port of the web server")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read WORDCOUNT_* of `environ` and of the file that WORDCOUNT_ENV_FILE names.

        A variable of the environment wins over the same one in the file; an empty value means the
        default. Raises ConfigurationError for an unknown WORDCOUNT_ variable and for a bad value.
        """
        given = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
        env_file = given.pop(ENV_FILE, "")
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
    def partials(self) -> str:
        """Topic of packed partial counts."""
        return f"{self.id}-partials"

    @property
    def late(self) -> str:
        """Topic of the lines that came too late, unchanged."""
        return f"{self.id}-late"

    @property
    def rejected(self) -> str:
        """Topic of the messages that are not UTF-8, unchanged."""
        return f"{self.id}-rejected"

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


def _read_env_file(name: str) -> dict[str, str]:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{ENV_FILE}={name}: cannot be read: {error}") from None
    given = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        variable, separator, value = line.partition("=")
        if not separator or not variable.startswith(PREFIX) or variable == ENV_FILE:
            raise ConfigurationError(
                f"{name}, line {number}: is not WORDCOUNT_NAME=value: {line[:60]!r}"
            )
        given[variable] = value.strip().strip("'\"")
    return given


def _refuse_unknown(given: Mapping[str, str], known: list[str]) -> None:
    import difflib

    for variable in given:
        if variable not in known:
            near = difflib.get_close_matches(variable, known, 1)
            hint = f"did you mean {near[0]}?" if near else "see the table of settings in README.md"
            raise ConfigurationError(f"{variable}: there is no such setting; {hint}")


def _value(metadata: Mapping[str, Any], given: Mapping[str, str]) -> Any:
    variable = metadata["variable"]
    text = given.get(variable) or metadata["default"]
    if text is None:
        return None
    try:
        return cast("Callable[[str], Any]", metadata["parse"])(text)
    except ValueError as error:
        shown = "***" if variable.endswith("PASSWORD") else text
        raise ConfigurationError(f"{variable}={shown}: {error}") from None


def _refuse_contradictions(settings: Settings) -> None:
    window, step = settings.window_ms, settings.step_ms
    fields = dict(settings.columns)
    contradictions = [
        (
            window is None and step is not None,
            "STEP: running totals (WORDCOUNT_WINDOW=none) do not hop",
        ),
        (
            window is not None and step is not None and step > window,
            "STEP: must not be longer than WORDCOUNT_WINDOW, or lines between windows go uncounted",
        ),
        (
            window is not None and settings.retention_ms < window + settings.grace_ms,
            "RETENTION: must be at least WORDCOUNT_WINDOW and WORDCOUNT_GRACE together",
        ),
        (
            window is not None and "window_start" not in fields and "window_end" not in fields,
            "COLUMNS: lacks window_start, so windows would overwrite each other; "
            "add it, or set WORDCOUNT_WINDOW=none",
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
            settings.cassandra_password is not None
            and settings.cassandra_password_file is not None,
            "CASSANDRA_PASSWORD_FILE: is set beside WORDCOUNT_CASSANDRA_PASSWORD; set one of them",
        ),
        (
            (settings.cassandra_username is None) != (settings.password is None),
            "CASSANDRA_USERNAME: goes with WORDCOUNT_CASSANDRA_PASSWORD or _PASSWORD_FILE; set both",
        ),
        (
            (settings.cassandra_cert is None) != (settings.cassandra_key is None),
            "CASSANDRA_CERT: goes with WORDCOUNT_CASSANDRA_KEY; set both or neither",
        ),
        (
            settings.cassandra_cert is not None and settings.cassandra_ca is None,
            "CASSANDRA_CERT: needs WORDCOUNT_CASSANDRA_CA, which turns TLS on",
        ),
    ]
    for wrong, what in contradictions:
        if wrong:
            raise ConfigurationError(PREFIX + what)
