"""The options of `produce`: combinations, and wrong arguments."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from app.commands.parameters import EventTime
from app.commands.produce import produce
from app.sources.base import Source
from app.sources.buffer.spools import spool_for
from app.sources.run import BufferOptions, Run, Target
from tests.produce_help import DOCUMENT, help_of_all


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("1740826800123", 1_740_826_800_123),
        ("2025-03-01T11:00:00Z", 1_740_826_800_000),
        ("2025-03-01T12:00:00.5+01:00", 1_740_826_800_500),
        ("2025-03-01 11:00", 1_740_826_800_000),
    ],
)
def test_event_times_are_ms_or_iso_8601(text: str, milliseconds: int) -> None:
    """A time without a zone is UTC."""
    assert EventTime().convert(text, None, None) == milliseconds


@pytest.mark.parametrize("text", ["soon", "-5", "1969-12-31", "2025-13-01", ""])
def test_other_event_times_are_refused(text: str) -> None:
    """A text that is no time, or a time before 1970, is named in the error."""
    with pytest.raises(click.BadParameter, match="neither ms since 1970"):
        EventTime().convert(text, None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["file"],
        ["file", "{file}", "--follow", "--repeat", "2"],
        ["file", "{file}", "--event-time", "soon"],
        ["sample", "--rate", "-1"],
        ["file", "missing"],
        ["file", "{file}/.."],
        ["teletype"],
    ],
)
def test_wrong_arguments_end_with_status_2(arguments: list[str], tmp_path: Path) -> None:
    """They are found before any request to Kafka, and named without a traceback."""
    path = tmp_path / "file"
    path.touch()
    result = CliRunner().invoke(produce, [part.format(file=path) for part in arguments])
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "source", ["actor", "custom", "directory", "file", "sample", "socket", "stdin", "zeromq"]
)
def test_every_source_has_help(source: str) -> None:
    """The help names the common options."""
    result = CliRunner().invoke(produce, [source, "--help"])
    assert result.exit_code == 0
    for option in ("--topic", "--unpacked", "--event-time", "--json"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["custom", "no_such_module:It"], "no_such_module can't be imported"),
        (["custom", "json:JSONDecoder"], "is no subclass of app.sources.base.Source"),
        (["custom", "json:No"], "json has no class No"),
        (["custom", "json"], "is not of the form MODULE:CLASS"),
        (["custom", "app.sources.sample:SampleSource", "x", "y"], "refuses the arguments"),
        (["actor", "app.sources.actor.actor:StreamingActor"], "declares no message type"),
        (["actor", "json:JSONDecoder", "--listen", "nowhere"], "is not of the form HOST:PORT"),
        (["directory", "/no/such/directory"], "can't be listed: No such file"),
        (["zeromq", "nowhere"], "can't connect to nowhere: Invalid argument"),
        (["zeromq", "tcp://127.0.0.1:1", "--clients", "x"], "need --key"),
        (["zeromq", "tcp://127.0.0.1:1", "--pull", "--subscribe", "x"], "leave out --pull"),
        (["socket", "127.0.0.1", "0"], "0 needs --listen"),
        (["socket", "127.0.0.1", "1", "--spill", "much"], "'much': is not a size"),
        (["file", "{file}", "--resume", "--repeat", "2"], "leave out --repeat"),
    ],
)
def test_wrong_arguments_of_sources_are_one_line(
    arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is 2, without a traceback, before any request to Kafka."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "file"
    path.touch()
    result = CliRunner().invoke(produce, [part.format(file=path) for part in arguments])
    assert result.exit_code == 2, result.stderr
    assert why in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.stderr


@pytest.fixture
def folder_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Returns the spool's directory of a producer with these arguments and settings."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("X_BEARER_TOKEN", "secret")
    folders: list[Path] = []

    class Noted(Run):
        """A run that notes its buffer and delivers nothing."""

        def __init__(
            self, source: Source, target: Target, *, buffer: BufferOptions, **others: Any
        ) -> None:
            super().__init__(source, target, buffer=buffer, **others)
            folders.append(spool_for(buffer.purpose, buffer.folder, 1).directory)
            self._inner = source

        async def run(self) -> None:
            await self._inner.close()

    monkeypatch.setattr("app.sources.run.Run", Noted)

    def run(*arguments: str | Path, **settings: str) -> Path:
        result = CliRunner().invoke(produce, [*map(str, arguments)], env=settings)
        assert result.exit_code == 0, result.output
        return folders.pop()

    return run


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("socket 127.0.0.1 9 --listen", "--connections 5 --memory 1MiB --spill 2GiB --unpacked"),
        ("zeromq tcp://127.0.0.1:9", "--skip 1 --subscribe news --rate 5"),
        ("x", "--backfill 5 --rule cats --delete-rule 1"),
        ("actor tests.unit.sources.actor.test_source:Echo", "--listen 127.0.0.1:9 --write-ahead"),
        ("stdin", "--json --event-time 0"),
        ("stdin", "--topic lines"),
    ],
)
def test_the_input_alone_decides_where_lines_are_buffered(
    folder_of: Callable[..., Path], command: str, changed: str
) -> None:
    """Other options can change from run to run."""
    assert folder_of(*command.split()) == folder_of(*command.split(), *changed.split())


def test_lines_go_to_no_other_topic(folder_of: Callable[..., Path], tmp_path: Path) -> None:
    """Nor to another cluster, application or input, even in a directory that all of them share."""
    spill = ["--spill-dir", tmp_path]
    folders = [
        folder_of("socket", "127.0.0.1", "9", *spill),
        folder_of("socket", "127.0.0.1", "9", *spill, "--topic", "other"),
        folder_of("socket", "127.0.0.1", "8", *spill),
        folder_of("socket", "127.0.0.1", "9", *spill, "--listen"),
        folder_of("socket", "127.0.0.1", "9", *spill, WORDCOUNT_BROKER="kafka://other:9092"),
        folder_of("socket", "127.0.0.1", "9", *spill, WORDCOUNT_ID="another"),
        folder_of("stdin", *spill),
    ]
    assert {folder.parent for folder in folders} == {tmp_path}
    assert len(set(folders)) == len(folders)
    named = folder_of("stdin", *spill, "--topic", "other")
    assert named == folder_of("stdin", *spill, WORDCOUNT_LINES="other") != folders[-1]
    assert folder_of("stdin").name == folders[-1].name
    brokers = [f"kafka://{one}:9092;kafka://{two}:9092" for one, two in ("ab", "ba")]
    first, second = (folder_of("stdin", *spill, WORDCOUNT_BROKER=both) for both in brokers)
    assert first == second


def test_the_documented_help_is_the_help() -> None:
    """`python -m tests.produce_help` writes it again."""
    assert DOCUMENT.read_text(encoding="utf-8") == help_of_all()


def test_the_kafka_client_stays_quiet_until_its_last_task_has_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A task of the client that outlives the run logs nothing to the user as it is cancelled."""
    left_over: list[object] = []

    async def reconnect() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            logging.getLogger("aiokafka").error("Unable connect to node")
            left_over.append("logged")

    async def deliver(*_: object) -> None:
        left_over.append(asyncio.create_task(reconnect()))
        await asyncio.sleep(0)

    monkeypatch.setattr(Run, "_deliver", deliver)
    assert CliRunner().invoke(produce, ["sample"]).exit_code == 0
    assert left_over[-1] == "logged"
    assert "Unable connect" not in caplog.text
