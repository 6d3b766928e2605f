"""Two workers with a token, as every worker has that listens beyond loopback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "a-token-of-these-tests"  # noqa: S105 - a test's own
CONFIG = Path(__file__).with_name("schemathesis.toml")
LINES = 120


@pytest.fixture(scope="module")
def guarded(new_stream: Callable[[str], Any]) -> Iterator[Any]:
    """A stream whose two workers have a token, log JSON, and have counted some lines."""
    stream = new_stream("web_token").configure(web_token=TOKEN, log_format="json", print=0)
    workers = [stream.start(), stream.start()]
    now = time.time_ns() // 1_000_000
    asyncio.run(stream.produce((f"again w{n} <script>", now) for n in range(LINES)))

    def counted() -> bool:
        answers = [worker.json("/api/words/again") for worker in workers]
        return all(
            answer and sum(window["count"] for window in answer["windows"]) == LINES
            for answer in answers
        )

    workers[0].wait_until(counted)
    yield stream
    stream.close()


def test_workers_send_each_other_the_token(guarded: Any) -> None:
    """Either worker answers for both; without the token there is no answer."""
    for worker in guarded.workers:
        assert worker.json("/api/top?n=1")["words"] == [{"word": "<script>", "count": LINES}]
        assert len(worker.json("/api/status")["workers"]) == 2
        for path in ("/api/top", "/api/local/status", "/metrics", "/api/openapi.json"):
            status, answer = worker.get(path, Authorization="")
            assert (status, set(answer)) == (401, {"error"})
        assert worker.get("/health/ready", Authorization="")[0] == 200


def test_commands_send_the_token(guarded: Any) -> None:
    """They read it from the settings; without it they name the setting, with status 2."""
    url = guarded.workers[0].url
    done = guarded.run("top", "--url", url)
    assert (done.returncode, "<script>" in done.stdout) == (0, True)
    for token, remedy in (
        ("", "set WORDCOUNT_WEB_TOKEN"),
        ("wrong" * 4, "correct WORDCOUNT_WEB_TOKEN"),
    ):
        done = guarded.run("status", "--url", url, WORDCOUNT_WEB_TOKEN=token)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert remedy in done.stderr


def test_no_output_contains_the_token(guarded: Any) -> None:
    """No answer, metric or log line contains it."""
    for worker in guarded.workers:
        for path in ("/api/status", "/api/openapi.json", "/metrics", "/api/local/status"):
            assert TOKEN not in str(worker.get(path))
        assert TOKEN not in worker.output


def test_every_log_line_is_json(guarded: Any) -> None:
    """The first line is the banner; Faust's tables are missing."""
    for worker in guarded.workers:
        lines = [json.loads(line) for line in worker.output.splitlines()]
        assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
        banner = lines[0]["message"]
        assert banner.startswith(f"wordcount-stream {version('wordcount-stream')}, web_token: ")
        assert banner.endswith(f"; {worker.url}/ (asks for the token)")
        assert not any("│" in line["message"] or "┌" in line["message"] for line in lines)


def test_the_description_of_the_web_is_valid(guarded: Any) -> None:
    """/api/openapi.json is OpenAPI 3.1, and requires a token."""
    described = guarded.workers[0].json("/api/openapi.json")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []
    assert described["security"]


def test_the_web_keeps_what_its_description_promises(guarded: Any, tmp_path: Path) -> None:
    """Schemathesis sends allowed and forbidden requests, and finds no fault."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", CONFIG, "run", f"{guarded.workers[0].url}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--seed", "1"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "25"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout


def test_a_worker_beyond_loopback_does_not_start_without_a_token(stream: Any) -> None:
    """The start fails with status 2 and one line that names the remedy."""
    done = stream.configure(web_host="0.0.0.0").run("worker")  # noqa: S104 - refused
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: the web server would listen on 0.0.0.0")
    assert "Traceback" not in done.stderr
