"""Settings: good and bad values of each, the env file, and the errors about wrong values."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest

from app.errors import ConfigurationError
from app.settings import Settings, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROMISED = {
    "BROKER": "kafka://127.0.0.1:9092",
    "ID": "wordcount",
    "LINES": "lines",
    "PARTITIONS": "4",
    "REPLICATION": "1",
    "WORDS": "whitespace",
    "WINDOW": "1m",
    "STEP": "",
    "GRACE": "1m",
    "RETENTION": "24h",
    "CHECKPOINT_INTERVAL": "1s",
    "FLUSH_INTERVAL": "1s",
    "MEMORY": "1GiB",
    "PRINT": "10",
    "CASSANDRA": "127.0.0.1:9042",
    "CASSANDRA_DATACENTER": "",
    "CASSANDRA_USERNAME": "",
    "CASSANDRA_PASSWORD": "",
    "CASSANDRA_PASSWORD_FILE": "",
    "CASSANDRA_CA": "",
    "CASSANDRA_CERT": "",
    "CASSANDRA_KEY": "",
    "KEYSPACE": "streaming_test",
    "TABLE": "words",
    "COLUMNS": "word,window_start,count",
    "TOP_WORDS": "0",
    "TOP_TABLE": "top_words",
    "RESAVE": "false",
    "WEB_HOST": "127.0.0.1",
    "WEB_PORT": "6066",
    "WEB_TOKEN": "",
    "WEB_TOKEN_FILE": "",
    "WEB_CORS": "",
    "LOG_FORMAT": "plain",
}
"""The documented defaults; those of OUTPUT_ settings may change when measurements do."""

OUTPUT = (
    *("CONSISTENCY", "TTL", "BATCH_ROWS", "BATCH_BYTES", "BATCH_GROUPING_KEY"),
    *("BATCH_GROUPING_BUFFER", "CONCURRENT_WRITES", "THROUGHPUT", "IF_NOT_EXISTS"),
    *("IGNORE_NULLS", "RETRIES"),
)

NONE_UNTIL_SET = {
    *("step_ms", "cassandra_datacenter", "cassandra_username", "cassandra_password"),
    *("cassandra_password_file", "cassandra_ca", "cassandra_cert", "cassandra_key"),
    *("output_batch_rows", "output_throughput", "output_ttl"),
    *("web_token", "web_token_file", "web_cors"),
}


def read(**settings: str) -> Settings:
    """Settings from WORDCOUNT_ variables, named without their prefix."""
    return Settings.read({f"WORDCOUNT_{name}": value for name, value in settings.items()})


@pytest.fixture
def env_file(tmp_path: Path) -> Callable[[str], str]:
    """Creates a file of settings and returns its name."""

    def make(text: str) -> str:
        path = tmp_path / "wordcount.env"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return make


class TestDefaults:
    """The defaults."""

    def test_are_those_promised(self) -> None:
        """Each setting has its documented name and default, in the documented order."""
        found = {name.removeprefix("WORDCOUNT_"): default for name, default, _ in describe()}
        assert {k: v for k, v in found.items() if not k.startswith("OUTPUT_")} == PROMISED
        assert [k for k in found if k.startswith("OUTPUT_")] == [f"OUTPUT_{k}" for k in OUTPUT]

    def test_hold_in_an_empty_environment(self) -> None:
        """No variable needs to be set; a setting without a default is None."""
        settings = Settings.read({"PATH": "/bin"})
        values = dataclasses.asdict(settings)
        assert {name for name, value in values.items() if value is None} == NONE_UNTIL_SET
        assert settings.broker == ("127.0.0.1:9092",)
        assert settings.window_ms == settings.hop_ms == 60_000
        assert settings.columns == (
            ("word", "word"),
            ("window_start", "window_start"),
            ("count", "count"),
        )

    @pytest.mark.parametrize("name", [*PROMISED, *(f"OUTPUT_{name}" for name in OUTPUT)])
    def test_are_meant_by_an_empty_value(self, name: str) -> None:
        """An empty variable means the default."""
        assert read(**{name: ""}) == read()

    def test_each_has_a_help_text(self) -> None:
        """Every setting has a help text."""
        assert all(len(text) > 5 for _, _, text in describe())

    def test_cannot_be_changed(self) -> None:
        """A setting cannot be assigned."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            read().partitions = 8  # type: ignore[misc]  # the mistake under test


GOOD: list[tuple[str, str, str, Any]] = [
    ("BROKER", "kafka.example:9093", "broker", ("kafka.example:9093",)),
    ("BROKER", "kafka://a;kafka://b:1; c", "broker", ("a:9092", "b:1", "c:9092")),
    ("BROKER", "kafka://[::1]:9092", "broker", ("[::1]:9092",)),
    ("ID", "word-count_2.b", "id", "word-count_2.b"),
    ("LINES", "l" * 200, "lines", "l" * 200),
    ("PARTITIONS", "10000", "partitions", 10_000),
    ("REPLICATION", "3", "replication", 3),
    ("WORDS", "unicode", "words", "unicode"),
    ("WINDOW", "90s", "window_ms", 90_000),
    ("WINDOW", "none", "window_ms", None),
    ("STEP", "20s", "step_ms", 20_000),
    ("GRACE", "0s", "grace_ms", 0),
    ("RETENTION", "7d", "retention_ms", 604_800_000),
    ("CHECKPOINT_INTERVAL", "500ms", "checkpoint_interval_ms", 500),
    ("FLUSH_INTERVAL", "1m", "flush_interval_ms", 60_000),
    ("MEMORY", "512MiB", "memory", 512 << 20),
    ("PRINT", "0", "print", 0),
    ("CASSANDRA", "a, b", "cassandra", (("a", 9042), ("b", 9042))),
    ("CASSANDRA", "[::1]:9142", "cassandra", (("[::1]", 9142),)),
    ("CASSANDRA_DATACENTER", "dc-1", "cassandra_datacenter", "dc-1"),
    ("KEYSPACE", "Streaming_2", "keyspace", "Streaming_2"),
    ("TABLE", "w" * 48, "table", "w" * 48),
    (
        "COLUMNS",
        "count:n, word, window_end:until",
        "columns",
        (("count", "n"), ("word", "word"), ("window_end", "until")),
    ),
    ("OUTPUT_CONSISTENCY", "each_quorum", "output_consistency", "EACH_QUORUM"),
    ("OUTPUT_TTL", "30d", "output_ttl", 2_592_000_000),
    ("OUTPUT_TTL", "none", "output_ttl", None),
    ("OUTPUT_TTL", "window", "output_ttl", "window"),
    ("OUTPUT_BATCH_ROWS", "65535", "output_batch_rows", 65_535),
    ("OUTPUT_BATCH_BYTES", "512", "output_batch_bytes", 512),
    ("OUTPUT_BATCH_BYTES", "64KiB", "output_batch_bytes", 65_536),
    ("OUTPUT_BATCH_BYTES", "1MiB", "output_batch_bytes", 1 << 20),
    ("OUTPUT_BATCH_GROUPING_KEY", "none", "output_batch_grouping_key", "none"),
    ("OUTPUT_BATCH_GROUPING_BUFFER", "1", "output_batch_grouping_buffer", 1),
    ("OUTPUT_CONCURRENT_WRITES", "1024", "output_concurrent_writes", 1024),
    ("OUTPUT_THROUGHPUT", "5000", "output_throughput", 5000),
    ("OUTPUT_IF_NOT_EXISTS", "True", "output_if_not_exists", True),
    ("OUTPUT_IGNORE_NULLS", "false", "output_ignore_nulls", False),
    ("OUTPUT_RETRIES", "0", "output_retries", 0),
    ("WEB_HOST", "::", "web_host", "::"),
    ("WEB_PORT", "65535", "web_port", 65_535),
]

BAD: list[tuple[str, str, str]] = [
    ("BROKER", "amqp://a", "write kafka://host:port"),
    ("BROKER", "a;;b", "is not host:port"),
    ("BROKER", "kafka://a:0", "is not host:port"),
    ("BROKER", "kafka://a:70000", "is not host:port"),
    ("BROKER", "kafka://a/b", "is not host:port"),
    ("MEMORY", "64MiB", "at least 512MiB"),
    ("ID", "word count", "letters, digits, dots"),
    ("ID", "..", "letters, digits, dots"),
    ("LINES", "l" * 201, "1 to 200"),
    ("PARTITIONS", "0", "between 1 and 10000"),
    ("PARTITIONS", "-1", "is not a whole number"),
    ("PARTITIONS", "4.0", "is not a whole number"),
    ("PARTITIONS", "٤", "is not a whole number"),
    ("REPLICATION", "101", "between 1 and 100"),
    ("WORDS", "Unicode", "one of whitespace, unicode"),
    ("WINDOW", "60", "is not a duration"),
    ("WINDOW", "1.5m", "is not a duration"),
    ("WINDOW", "0s", "longer than zero"),
    ("STEP", "0ms", "longer than zero"),
    ("GRACE", "-1s", "is not a duration"),
    ("RETENTION", "none", "is not a duration"),
    ("CHECKPOINT_INTERVAL", "1S", "is not a duration"),
    ("FLUSH_INTERVAL", "0s", "longer than zero"),
    ("PRINT", "1001", "between 0 and 1000"),
    ("CASSANDRA", "a:1,b:2", "one port for all"),
    ("CASSANDRA", "cassandra://a", "is not host:port"),
    ("CASSANDRA", "a,,b", "is not host:port"),
    ("CASSANDRA_PASSWORD_FILE", "/nowhere", "is not a file that can be read"),
    ("CASSANDRA_CA", "/", "is not a file that can be read"),
    ("CASSANDRA_CERT", "/nowhere", "is not a file that can be read"),
    ("CASSANDRA_KEY", "/nowhere", "is not a file that can be read"),
    ("WEB_TOKEN_FILE", "/nowhere", "is not a file that can be read"),
    ("WEB_CORS", "*", "is not an origin"),
    ("WEB_CORS", "https://a.example/page", "is not an origin"),
    ("LOG_FORMAT", "xml", "must be one of plain, json"),
    ("KEYSPACE", "my-keyspace", "must start with a letter"),
    ("TABLE", "w" * 49, "at most 48"),
    ("COLUMNS", "word,number", "names the field 'number'"),
    ("COLUMNS", "word,window_start", "lacks the field 'count'"),
    ("COLUMNS", "word,count,word", "names the field 'word' twice"),
    ("COLUMNS", "word,count:word", "names the column 'word' twice"),
    ("COLUMNS", "word,count:1st", "must start with a letter"),
    ("OUTPUT_CONSISTENCY", "SERIAL", "must be one of ANY"),
    ("OUTPUT_TTL", "0s", "longer than zero"),
    ("OUTPUT_TTL", "forever", "is not a duration"),
    ("OUTPUT_BATCH_ROWS", "65536", "between 1 and 65535"),
    ("OUTPUT_BATCH_BYTES", "5KB", "is not a size"),
    ("OUTPUT_BATCH_BYTES", "0", "more than zero"),
    ("OUTPUT_BATCH_GROUPING_KEY", "replica-set", "one of none, replica_set, partition"),
    ("OUTPUT_BATCH_GROUPING_BUFFER", "0", "at least 1"),
    ("OUTPUT_CONCURRENT_WRITES", "1025", "between 1 and 1024"),
    ("OUTPUT_THROUGHPUT", "0", "at least 1"),
    ("OUTPUT_IF_NOT_EXISTS", "yes", "one of true, false"),
    ("OUTPUT_IGNORE_NULLS", "1", "one of true, false"),
    ("OUTPUT_RETRIES", "1001", "between 0 and 1000"),
    ("WEB_PORT", "0", "between 1 and 65535"),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_good_value(name: str, text: str, field: str, value: Any) -> None:
    """A valid text becomes its value."""
    assert getattr(read(**{name: text}), field) == value


@pytest.mark.parametrize(("name", "text", "why"), BAD)
def test_bad_value(name: str, text: str, why: str) -> None:
    """A bad text is refused in one line that names the setting, the text and what is wrong."""
    with pytest.raises(ConfigurationError) as refused:
        read(**{name: text})
    line = str(refused.value)
    assert line.startswith(f"WORDCOUNT_{name}={text}: ")
    assert why in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [
        ({"WINDOW": "none", "STEP": "1s", "COLUMNS": "word,count"}, "STEP", "WINDOW"),
        ({"WINDOW": "1m", "STEP": "61s"}, "STEP", "WINDOW"),
        ({"WINDOW": "1h", "STEP": "359ms"}, "STEP", "WINDOW"),
        ({"ID": "a", "LINES": "a-late"}, "LINES=a-late", "ID"),
        ({"LINES": "wordcount-partials"}, "LINES=wordcount-partials", "ID"),
        ({"LINES": "wordcount-rejected"}, "LINES=wordcount-rejected", "ID"),
        ({"LINES": "wordcount-positions"}, "LINES=wordcount-positions", "ID"),
        ({"LINES": "wordcount-word_counts-changelog"}, "LINES=wordcount-word_counts", "ID"),
        ({"WINDOW": "24h"}, "RETENTION", "GRACE"),
        ({"COLUMNS": "word,count"}, "COLUMNS", "WINDOW=none"),
        ({"WINDOW": "none", "COLUMNS": "word,window_end,count"}, "COLUMNS", "WINDOW=none"),
        (
            {"WINDOW": "none", "COLUMNS": "word,count", "OUTPUT_TTL": "window"},
            "OUTPUT_TTL=window",
            "WINDOW=none",
        ),
        (
            {"TOP_WORDS": "5", "OUTPUT_IF_NOT_EXISTS": "true"},
            "TOP_WORDS",
            "OUTPUT_IF_NOT_EXISTS",
        ),
        ({"TOP_WORDS": "5", "TOP_TABLE": "words"}, "TOP_TABLE", "TABLE"),
        ({"CASSANDRA_PASSWORD": "sesame"}, "CASSANDRA_USERNAME", "CASSANDRA_PASSWORD"),
        ({"CASSANDRA_USERNAME": "ali"}, "CASSANDRA_USERNAME", "CASSANDRA_PASSWORD"),
        ({"CASSANDRA_CERT": __file__}, "CASSANDRA_CERT", "CASSANDRA_KEY"),
        ({"CASSANDRA_CERT": __file__, "CASSANDRA_KEY": __file__}, "CASSANDRA_CERT", "CASSANDRA_CA"),
        (
            {
                "CASSANDRA_USERNAME": "ali",
                "CASSANDRA_PASSWORD": "sesame",
                "CASSANDRA_PASSWORD_FILE": __file__,
            },
            "CASSANDRA_PASSWORD_FILE",
            "CASSANDRA_PASSWORD",
        ),
        (
            {"WEB_TOKEN": "sesame-sesame-sesame", "WEB_TOKEN_FILE": __file__},
            "WEB_TOKEN_FILE",
            "WEB_TOKEN",
        ),
    ],
)
def test_contradictions_are_refused(settings: dict[str, str], first: str, second: str) -> None:
    """Settings that contradict each other are refused in a line that names both."""
    with pytest.raises(ConfigurationError) as refused:
        read(**settings)
    line = str(refused.value)
    assert line.startswith(f"WORDCOUNT_{first}")
    assert f"WORDCOUNT_{second}" in line
    assert "sesame" not in line


class TestUnknownNames:
    """A WORDCOUNT_ variable that is no setting."""

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("BROKERS", "BROKER"),
            ("WINDOWS", "WINDOW"),
            ("PARTITION", "PARTITIONS"),
            ("CASANDRA", "CASSANDRA"),
            ("OUTPUT_BATCHROWS", "OUTPUT_BATCH_ROWS"),
            ("broker", "BROKER"),
        ],
    )
    def test_is_refused_with_a_suggestion(self, name: str, near: str) -> None:
        """The error about a misspelt name suggests the setting with the nearest name."""
        with pytest.raises(ConfigurationError, match=f"mean WORDCOUNT_{near}\\?"):
            read(**{name: "1"})

    def test_without_a_likeness_points_to_the_table(self) -> None:
        """The error about a name unlike any setting refers to the table of settings."""
        with pytest.raises(ConfigurationError, match="table of settings"):
            read(QQQQ="1")

    def test_of_other_programs_are_left_alone(self) -> None:
        """Variables without the prefix are ignored."""
        assert Settings.read({"KAFKA_BROKER": "x", "WORDCOUNTX": "y"}) == read()


class TestEnvFile:
    """The file that WORDCOUNT_ENV_FILE names."""

    def test_holds_assignments_with_quotes_comments_and_export(
        self, env_file: Callable[[str], str]
    ) -> None:
        """Lines are NAME=value as a shell would take them; comments and blank lines are fine."""
        name = env_file(
            "# where\n\n"
            "WORDCOUNT_BROKER=kafka://a:1\n"
            'export WORDCOUNT_ID="shop"\n'
            "  WORDCOUNT_LINES='orders'  \n"
            "WORDCOUNT_CASSANDRA_DATACENTER=a=b\n"
        )
        settings = read(ENV_FILE=name)
        assert settings.broker == ("a:1",)
        assert (settings.id, settings.lines) == ("shop", "orders")
        assert settings.cassandra_datacenter == "a=b"

    def test_gives_way_to_the_environment(self, env_file: Callable[[str], str]) -> None:
        """A variable of the environment wins over the same one in the file."""
        name = env_file("WORDCOUNT_ID=file\nWORDCOUNT_PRINT=3\n")
        settings = read(ENV_FILE=name, ID="environment")
        assert (settings.id, settings.print) == ("environment", 3)

    def test_keeps_quotes_that_do_not_enclose_the_value(
        self, env_file: Callable[[str], str]
    ) -> None:
        """Only a pair of quotes around the whole value is taken off."""
        name = env_file('WORDCOUNT_CASSANDRA_USERNAME="o\'"\nWORDCOUNT_CASSANDRA_PASSWORD=x"y\'\n')
        settings = read(ENV_FILE=name)
        assert (settings.cassandra_username, settings.password) == ("o'", "x\"y'")

    @pytest.mark.parametrize(
        "line",
        ["WORDCOUNT_ID", "BROKER=x", "WORDCOUNT_ENV_FILE=other", "export", "= 1"],
    )
    def test_refuses_what_is_no_assignment(self, line: str, env_file: Callable[[str], str]) -> None:
        """A line that sets no setting is refused with the file's name and the line's number."""
        name = env_file(f"# first\n{line}\n")
        with pytest.raises(ConfigurationError, match=f"^{re.escape(name)}, line 2: "):
            read(ENV_FILE=name)

    def test_names_file_and_line_of_an_unknown_setting(
        self, env_file: Callable[[str], str]
    ) -> None:
        """The error about an unknown setting names file and line."""
        name = env_file("\nWORDCOUNT_WINDOWS=1m\n")
        with pytest.raises(ConfigurationError, match="mean WORDCOUNT_WINDOW\\?") as refused:
            read(ENV_FILE=name)
        assert str(refused.value).startswith(f"{name}, line 2: WORDCOUNT_WINDOWS: ")

    def test_names_file_and_line_of_a_bad_value(self, env_file: Callable[[str], str]) -> None:
        """The error about a bad value names file and line."""
        name = env_file("WORDCOUNT_ID=a\nWORDCOUNT_WINDOW=soon\n")
        with pytest.raises(ConfigurationError) as refused:
            read(ENV_FILE=name)
        assert str(refused.value).startswith(f"{name}, line 2: WORDCOUNT_WINDOW=soon: ")

    def test_keeps_secrets_of_a_line_that_is_no_assignment(
        self, env_file: Callable[[str], str]
    ) -> None:
        """The error about a line that can't be parsed does not show its password."""
        name = env_file("WORDCOUNT_CASSANDRA_PASSWORD: sesame\n")
        with pytest.raises(ConfigurationError) as refused:
            read(ENV_FILE=name)
        assert "sesame" not in str(refused.value)

    @pytest.mark.parametrize("text", [None, b"WORDCOUNT_ID=\xff\n"])
    def test_that_cannot_be_read_is_named(self, text: bytes | None, tmp_path: Path) -> None:
        """A file that is missing, or not UTF-8, is refused with its name."""
        path = tmp_path / "wordcount.env"
        if text is not None:
            path.write_bytes(text)
        with pytest.raises(ConfigurationError, match=f"^WORDCOUNT_ENV_FILE={path}: cannot be read"):
            read(ENV_FILE=str(path))


class TestPassword:
    """The Cassandra password, which no output shows."""

    def test_comes_from_its_variable_or_its_file(self, tmp_path: Path) -> None:
        """A file's password is without the newline at its end."""
        path = tmp_path / "password"
        path.write_text("open sesame \n", encoding="utf-8")
        by_file = read(CASSANDRA_USERNAME="ali", CASSANDRA_PASSWORD_FILE=str(path))
        assert by_file.password == "open sesame "  # noqa: S105
        by_variable = read(CASSANDRA_USERNAME="ali", CASSANDRA_PASSWORD="sesame")  # noqa: S106
        assert by_variable.password == "sesame"  # noqa: S105
        assert read().password is None

    def test_is_in_no_representation(self) -> None:
        """The printed form of the settings lacks the password."""
        settings = read(CASSANDRA_USERNAME="ali", CASSANDRA_PASSWORD="sesame")  # noqa: S106
        assert "sesame" not in repr(settings)
        assert "sesame" not in str(settings)

    @pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
    def test_file_that_is_not_utf_8_is_named(self, encoding: str, tmp_path: Path) -> None:
        """A password file that can't be read as text stops the start, not the first connection."""
        path = tmp_path / "password"
        path.write_bytes("sésame".encode(encoding))
        with pytest.raises(ConfigurationError, match="PASSWORD_FILE") as refused:
            read(CASSANDRA_USERNAME="ali", CASSANDRA_PASSWORD_FILE=str(path))
        assert "same" not in str(refused.value)


class TestToken:
    """The token of the web server stays secret."""

    def test_comes_from_its_variable_or_its_file(self, tmp_path: Path) -> None:
        """A file's token is without the white space around it."""
        path = tmp_path / "token"
        path.write_text(" open-sesame-open\n\n", encoding="utf-8")
        assert read(WEB_TOKEN_FILE=str(path)).token == "open-sesame-open"  # noqa: S105
        assert read(WEB_TOKEN="sesame-sesame-16").token == "sesame-sesame-16"  # noqa: S105, S106
        assert read().token is None

    def test_is_in_no_representation(self) -> None:
        """The printed form of the settings lacks the token."""
        settings = read(WEB_TOKEN="sesame-sesame-16")  # noqa: S106
        assert "sesame" not in repr(settings)
        assert "sesame" not in str(settings)

    @pytest.mark.parametrize("token", ["sesame", "sesame sesame sesame", "sésame-sésame-sésame"])
    def test_that_can_be_guessed_or_sent_nowhere_is_refused(
        self, token: str, tmp_path: Path
    ) -> None:
        """It is long enough and fits a header, wherever it comes from; the error lacks it."""
        path = tmp_path / "token"
        path.write_text(token, encoding="utf-8")
        for settings in ({"WEB_TOKEN": token}, {"WEB_TOKEN_FILE": str(path)}):
            with pytest.raises(ConfigurationError, match="must be 16 or more letters") as refused:
                read(**settings)
            assert "same" not in str(refused.value)


def test_topics_carry_the_id() -> None:
    """Every internal topic begins with the application's id."""
    settings = read(ID="shop")
    assert settings.partials == "shop-partials"
    assert settings.late == "shop-late"
    assert settings.rejected == "shop-rejected"
    assert settings.changelog == "shop-word_counts-changelog"


def test_hop_is_the_step_or_the_window() -> None:
    """Without a step, windows follow each other; without windows there is no hop."""
    assert read(WINDOW="1m", STEP="20s").hop_ms == 20_000
    assert read(WINDOW="1m").hop_ms == 60_000
    assert read(WINDOW="none", COLUMNS="word,count").hop_ms is None
