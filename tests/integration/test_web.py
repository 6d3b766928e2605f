"""Two workers and the text that they have counted: both give the same answers."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import urllib.request
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTE = 60_000
ODD_WORDS = (
    "a/b",
    "..",
    ".",
    "%41",
    "x?y=1&z#w",
    "+",
    "日本語",
    "naïve",
    '"quoted"',
    "\u202eturned",
)
PARTITIONS = 4
ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docker" / "grafana" / "wordcount.json"
WEB = ROOT / "docs" / "web.md"


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Counted:
    """A stream with text in two windows that have ended, and two workers that have counted it."""

    def __init__(self, stream: Any) -> None:
        now = time.time_ns() // 1_000_000
        self.newest = (now // MINUTE - 4) * MINUTE
        self.starts = (self.newest - MINUTE, self.newest)
        self.windows = {start: Counter[str]() for start in self.starts}
        self.lines: list[tuple[str, int]] = []
        rng = random.Random("two workers")
        for start in self.starts:
            for number in range(500):
                words = [f"w{int(rng.paretovariate(0.7)) % 3000}" for _ in range(8)]
                words += ODD_WORDS[number % 40 : number % 40 + 1]
                self.windows[start].update(words)
                self.lines.append((" ".join(words), start + rng.randrange(MINUTE)))
        # A partition's newest line decides which lines are late, so windows come in order.
        self.stream = stream.configure(grace="2s", partitions=PARTITIONS)
        self.workers = [stream.start(), stream.start()]

    def top(self, start: int, n: int) -> list[dict[str, Any]]:
        """The expected words of /api/top for a window."""
        ranked = sorted(self.windows[start].items(), key=lambda item: (-item[1], item[0]))
        return [{"word": word, "count": count} for word, count in ranked[:n]]

    def is_answered(self) -> bool:
        """Whether both workers answer, and have counted everything."""
        total = sum(counts.total() for counts in self.windows.values())
        for worker in self.workers:
            answer = worker.json("/api/windows")
            if answer is None or sum(window["words"] for window in answer["windows"]) != total:
                return False
            if len(worker.json("/api/status")["workers"]) != 2:
                return False
        return True


@pytest.fixture(scope="module")
def counted(new_stream: Callable[[str], Any]) -> Iterator[Counted]:
    made = Counted(new_stream("web_two_workers"))
    asyncio.run(made.stream.produce(made.lines))
    made.workers[0].wait_until(made.is_answered)
    yield made
    made.stream.close()


def test_top_words_are_those_of_a_counter(counted: Counted) -> None:
    """Either worker returns the top words of the newest window, and of a given window."""
    for worker in counted.workers:
        answer = worker.json("/api/top?n=50")
        assert answer["window"]["start"] == iso(counted.newest)
        assert answer["window"]["end"] == iso(counted.newest + MINUTE)
        assert answer["words"] == counted.top(counted.newest, 50)
        assert worker.json("/api/top")["words"] == counted.top(counted.newest, 20)
        for start in (iso(counted.starts[0]), counted.starts[0]):
            found = worker.json(f"/api/top?n=1000&window={start}")
            assert found["words"] == counted.top(counted.starts[0], 1000)


def test_any_worker_returns_the_counts_of_any_word(counted: Counted) -> None:
    """Both workers return the same counts of a word, odd characters or not."""
    words = [*ODD_WORDS, *(item["word"] for item in counted.top(counted.newest, 20))]
    for word in words:
        expected = [
            {"start": iso(s), "end": iso(s + MINUTE), "count": counted.windows[s][word]}
            for s in reversed(counted.starts)
            if word in counted.windows[s]
        ]
        for worker in counted.workers:
            by_query = worker.json(f"/api/words?{urlencode({'word': word})}")
            assert by_query == {"word": word, "windows": expected}
            if word not in (".", ".."):  # clients remove these from a path
                assert worker.json(f"/api/words/{quote(word, safe='')}") == by_query


def test_windows_come_with_their_totals(counted: Counted) -> None:
    """/api/windows lists all windows, newest first, with words and distinct words."""
    for worker in counted.workers:
        found = worker.json("/api/windows")["windows"]
        reported = [(window["start"], window["words"], window["distinct"]) for window in found]
        assert reported == [
            (iso(s), counted.windows[s].total(), len(counted.windows[s]))
            for s in reversed(counted.starts)
        ]


def test_a_window_that_has_ended_becomes_final(counted: Counted) -> None:
    """Without new lines, every window that has ended is final after the grace."""
    for worker in counted.workers:
        worker.wait_until(
            lambda w=worker: all(x["final"] for x in w.json("/api/windows")["windows"])
        )
        assert worker.json("/api/top")["window"]["final"] is True
        future = counted.newest + 60 * MINUTE
        assert worker.json(f"/api/top?window={future}") == {
            "window": {"start": iso(future), "end": iso(future + MINUTE), "final": False},
            "words": [],
        }


def test_an_unknown_word_has_no_windows(counted: Counted) -> None:
    """A word that never occurred is answered with an empty list."""
    for worker in counted.workers:
        for word in ("never-seen", "x" * 65_536):
            assert worker.get(f"/api/words/{word}") == (200, {"word": word, "windows": []})


def events_of(worker: Any, last_id: str = "") -> dict[str, Any]:
    """The events of a page until its second state: data by event, and the last id."""
    found: dict[str, Any] = {}
    states = 0
    request = urllib.request.Request(f"{worker.url}/api/events")  # noqa: S310 - http
    if last_id:
        request.add_header("Last-Event-ID", last_id)
    with urllib.request.urlopen(request, timeout=20) as stream:  # noqa: S310 - http
        while states < 2:
            name, _, value = stream.readline().decode().rstrip("\n").partition(": ")
            if name in ("id", "event"):
                found[name] = value
            elif name == "data":
                found[found["event"]] = json.loads(value)
                states += found["event"] == "state"
    return found


def test_pages_of_both_workers_receive_the_same(counted: Counted) -> None:
    """Either worker streams the top words, the windows and the state of both workers."""
    for worker in counted.workers:
        found = events_of(worker)
        top = [[each["word"], each["count"]] for each in counted.top(counted.newest, 20)]
        assert found["state"]["top"] == top
        assert found["state"]["window"]["start"] == iso(counted.newest)
        assert found["state"]["words"] == counted.windows[counted.newest].total()
        assert found["windows"]["windows"] == [
            [start, counted.windows[start].total(), len(counted.windows[start])]
            for start in reversed(counted.starts)
        ]
        assert [each["state"] for each in found["state"]["status"]["workers"]] == ["working"] * 2
        assert found["hello"]["window_ms"] == MINUTE
        # Either worker returns the sums over both.
        rates = found["hello"]["rates"] + found["state"]["rates"]
        lines = sum(lines for _, lines, _ in {rate[0]: rate for rate in rates}.values())
        assert lines == pytest.approx(len(counted.lines), rel=0.01)


def test_a_page_that_reconnects_receives_only_newer_rates(counted: Counted) -> None:
    """With Last-Event-ID only the newer rates are sent; ids grow."""
    first = events_of(counted.workers[0])
    again = events_of(counted.workers[0], first["id"])
    assert int(again["id"]) > int(first["id"])
    assert len(again["hello"]["rates"]) < 20
    older = [rate for rate in again["hello"]["rates"] if rate[0] < int(first["id"]) // 1000 - 10]
    assert older == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/top?n=0", "n=0: must be 1 to 1000"),
        ("/api/top?n=1001", "n=1001: must be 1 to 1000"),
        ("/api/top?n=-1", "n=-1: must be a whole number"),
        ("/api/top?n=many", "n=many: must be a whole number"),
        ("/api/top?window=noon", "window: 'noon' is neither ISO 8601 nor ms since the epoch"),
        ("/api/top?window=2026-11-22T21:40:30Z", "no window starts at 2026-11-22T21:40:30Z"),
        ("/api/words/", "the word is empty"),
        ("/api/words?word=", "the word is empty"),
        ("/api/words/caf%E9", "the word is not UTF-8"),
        ("/api/words?word=caf%E9", "the word is not UTF-8"),
        ("/api/words/" + "x" * 65_537, "the word has 65537 bytes; the limit is 65536"),
        ("/api/words?word=" + "%E6%97%A5" * 22_000, "the word has 66000 bytes; the limit is 65536"),
    ],
    ids=lambda value: value[:40],
)
def test_a_wrong_query_is_refused_with_a_reason(counted: Counted, path: str, reason: str) -> None:
    """A query out of bounds gets 400 with the reason."""
    assert counted.workers[0].get(path) == (400, {"error": reason})


@pytest.mark.parametrize("path", ["/table/", "/table/word_counts/", "/router/", "/stats", "/graph"])
def test_faust_s_own_pages_are_off(counted: Counted, path: str) -> None:
    """The pages of stock Faust are missing."""
    assert counted.workers[0].get(path) == (404, {"error": "Not Found"})


def test_the_web_server_listens_on_loopback_only(counted: Counted) -> None:
    """By default only this machine has access."""
    for worker in counted.workers:
        listening = [
            connection.laddr
            for connection in psutil.Process(worker.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == [("127.0.0.1", worker.port)]


def metrics_of(counted: Counted) -> defaultdict[str, float]:
    """The sum over both workers of each metric, its topic behind its name."""
    values: defaultdict[str, float] = defaultdict(float)
    for worker in counted.workers:
        status, text = worker.get("/metrics")
        assert status == 200
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                topic = sample.labels.get("topic", "").removeprefix(counted.stream.name)
                values[sample.name + topic] += sample.value
    return values


def test_metrics_are_prometheus_text(counted: Counted) -> None:
    """Both workers' metrics parse, have their units, and add up to what was counted."""
    rows = sum(map(len, counted.windows.values()))
    counted.workers[0].wait_until(
        lambda: metrics_of(counted)["wordcount_rows_flushed_total"] >= rows
    )
    values = metrics_of(counted)
    assert values["wordcount_lines_total"] == len(counted.lines)
    assert values["wordcount_owned_partitions-lines"] == PARTITIONS
    assert values["wordcount_owned_partitions-partials"] == PARTITIONS
    assert values["wordcount_ready"] == 2
    assert values["wordcount_build_info"] == 2
    assert values["wordcount_rebalances_total"] >= 3
    assert values["process_resident_memory_bytes"] > 0
    assert values["wordcount_words_total"] == sum(c.total() for c in counted.windows.values())
    assert values["wordcount_blocks_total"] >= 2 * PARTITIONS
    assert values["wordcount_state_bytes"] > 0
    assert 0 < values["wordcount_state_cache_bytes"] < values["process_resident_memory_bytes"]
    assert values["wordcount_checkpoint_seconds_count"] >= PARTITIONS
    assert values["wordcount_recovery_remaining_records"] == 0
    for name in ("lag_records-lines", "lag_records-partials", "rows_waiting", "recovering"):
        assert values[f"wordcount_{name}"] == 0


def test_metrics_follow_the_naming_rules_of_prometheus(counted: Counted) -> None:
    """Counters end in _total, everything with a unit in its base unit, and all have a help text."""
    _, text = counted.workers[0].get("/metrics")
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert not re.search(r"_(ms|us|milliseconds|minutes|kb|mb|percent)(_|$)", family.name)
        if family.name.startswith("wordcount_"):
            assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith("_total")
            if family.type == "histogram":
                assert family.name.endswith(("_seconds", "_bytes", "_rows"))


def test_every_metric_of_the_dashboard_exists(counted: Counted) -> None:
    """Workers export every metric that docker/grafana/wordcount.json queries."""
    _, text = counted.workers[0].get("/metrics")
    reported = {s.name for family in text_string_to_metric_families(text) for s in family.samples}
    asked = [
        target["expr"]
        for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]
    names = {name for expr in asked for name in re.findall(r"\b(?:wordcount|process)_\w+", expr)}
    assert len(asked) > 20
    assert names - reported == set()


def test_the_documented_metrics_are_the_exported_ones(counted: Counted) -> None:
    """docs/web.md has a line for each metric, and no other."""
    _, text = counted.workers[0].get("/metrics")
    families = text_string_to_metric_families(text)
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if family.name.startswith("wordcount_")
    }
    rows = re.findall(r"^\| (`wordcount_.*?) \|", WEB.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(wordcount_\w+)", row)}
    assert names == documented


def test_workers_that_do_their_work_are_live_and_ready(counted: Counted) -> None:
    """Health answers 200 and gives no reasons."""
    for worker in counted.workers:
        assert worker.get("/health/live") == (200, {"live": True, "reasons": []})
        ready = {"ready": True, "state": "working", "reasons": []}
        assert worker.get("/health/ready") == (200, ready)


def test_one_worker_prints_the_top_words(counted: Counted) -> None:
    """The worker that owns partition 0 prints the newest window; the other prints nothing."""
    owner = next(
        own["url"]
        for own in counted.workers[0].json("/api/status")["workers"]
        if 0 in [partition["partition"] for partition in own["partitions"]]
    )
    printed = {worker.url: worker.output for worker in counted.workers}
    word, count = counted.top(counted.newest, 1)[0].values()
    assert f"{word}  {count}" in " ".join(printed.pop(owner).replace("   ", "  ").split("\n"))
    assert word not in printed.popitem()[1].split()


class TestCommands:
    """`top`, `count` and `status` query the running workers."""

    def test_top_prints_words_and_counts(self, counted: Counted) -> None:
        """`top` names the window and lists its words, aligned; `--window` chooses it."""
        for start in counted.starts:
            done = counted.stream.run(
                "top", "-n", "3", "--window", iso(start), port=counted.workers[1].port
            )
            assert (done.returncode, done.stderr) == (0, "")
            heading, columns, *lines = done.stdout.splitlines()
            assert heading.startswith(f"window {iso(start)} to {iso(start + MINUTE)}")
            assert columns.split() == ["word", "count"]
            words = [(word, int(count.replace(",", ""))) for word, count in map(str.split, lines)]
            assert words == [tuple(item.values()) for item in counted.top(start, 3)]
            assert len({len(line) for line in lines}) == 1

    def test_json_is_the_worker_s_answer(self, counted: Counted) -> None:
        """`--json` prints the unchanged answer, for programs."""
        url = counted.workers[0].url
        for command, path in (
            (("top", "-n", "5"), "/api/top?n=5"),
            (("count", "w1"), "/api/words/w1"),
        ):
            done = counted.stream.run(*command, "--json", "--url", url)
            assert json.loads(done.stdout) == counted.workers[0].json(path)

    def test_count_prints_each_window_of_a_word(self, counted: Counted) -> None:
        """`count` lists windows, newest first, and only the head for an unknown word."""
        port = counted.workers[0].port
        done = counted.stream.run("count", "w1", port=port)
        assert [line.split() for line in done.stdout.splitlines()[1:]] == [
            [iso(s), iso(s + MINUTE), f"{counted.windows[s]['w1']:,}"]
            for s in reversed(counted.starts)
        ]
        unknown = counted.stream.run("count", "never-seen", port=port)
        assert (unknown.returncode, len(unknown.stdout.splitlines())) == (0, 1)

    def test_status_reports_all_is_well_and_lists_each_partition(self, counted: Counted) -> None:
        """`status` prints a summary, then the owner, state, lags and ages of each partition."""
        done = counted.stream.run("status", port=counted.workers[0].port)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{counted.stream.name}: all is well\n")
        assert "\nlag        0 messages of lines, 0 of partial counts\n" in done.stdout
        assert "\x1b" not in done.stdout
        lines = [line.split() for line in done.stdout.splitlines()[-PARTITIONS:]]
        assert [line[0] for line in lines] == [str(number) for number in range(PARTITIONS)]
        assert {line[1] for line in lines} == {f"127.0.0.1:{w.port}" for w in counted.workers}
        assert {tuple(line[2:5]) for line in lines} == {("working", "0", "0")}
        assert "0 late and 0 rejected" in done.stdout

    def test_without_a_worker_there_is_one_line(self, counted: Counted) -> None:
        """Without a worker each command prints one line and ends with status 1."""
        for command in (("top",), ("count", "w1"), ("status",)):
            done = counted.stream.run(*command, "--url", "http://127.0.0.1:9")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("Error: no worker answers at http://127.0.0.1:9")
            assert done.stderr.count("\n") == 1

    def test_wrong_arguments_end_with_status_2(self, counted: Counted) -> None:
        """A wrong argument is refused in one line, by the command or by the worker."""
        port = counted.workers[0].port
        for command in (
            ("top", "--window", "noon"),
            ("count", ""),
            ("count", "caf\udce9"),
            ("status", "--url", "ftp://somewhere"),
        ):
            done = counted.stream.run(*command, port=port)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
