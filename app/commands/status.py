"""`faust -A app status`: whether all is well, and what each partition waits for."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from app.commands.client import ask, url_option
from app.commands.errors import WordCountCommand
from app.commands.table import Column, print_line, show
from app.console import shown
from app.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["status", "troubles"]

_COLUMNS = (
    Column("partition", right=True),
    Column("worker"),
    Column("state"),
    Column("lines lag", right=True),
    Column("partials lag", right=True),
    Column("checkpoint", right=True),
    Column("flush", right=True),
    Column("waiting", right=True),
)


@click.command(cls=WordCountCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the worker's JSON.")
@url_option
def status(as_json: bool, url: str | None) -> None:
    """Print whether all is well, and the state of each partition.

    Problems come first: partitions without a worker, workers that do not answer or are not ready.
    Then the lags of lines and Cassandra. Then each partition: its worker, lags in messages, the age
    of its last checkpoint and last flush, and the rows that wait for Cassandra.

    The exit status is 0 if all is well, 1 if not.
    """
    answer = ask(url, "api/status", {})
    wrong = troubles(answer)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        _show(answer, wrong)
    if wrong:
        sys.exit(1)


def troubles(answer: Mapping[str, Any]) -> list[str]:
    """The problems of the application, one line each."""
    owned = {own["partition"] for worker in answer["workers"] for own in worker["partitions"]}
    missing = [str(number) for number in range(answer["partitions"]) if number not in owned]
    found = [silent["reason"] for silent in answer["silent"]]
    if missing:
        found.append(f"no worker owns partition{'s' * (len(missing) > 1)} {', '.join(missing)}")
    for worker in answer["workers"]:
        found.extend(f"{worker['url']}: {reason}" for reason in worker.get("reasons", ()))
    return found


def _show(answer: Mapping[str, Any], wrong: list[str]) -> None:
    verdict = "not all is well" if wrong else "all is well"
    print_line(f"{answer['id']}: {verdict}", "red" if wrong else "green")
    for line in wrong:
        print_line(f"  {shown(line, 200)}", "red")
    for name, text in _summary(answer):
        click.echo(f"{name:<10} {text}")
    click.echo()
    show(_COLUMNS, list(_rows(answer, time.time())))


def _summary(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    workers = answer["workers"]
    partitions = [own for worker in workers for own in worker["partitions"]]
    working = sum(worker["state"] == "working" for worker in workers)
    yield "workers", f"{len(workers) + len(answer['silent'])}, {working} of them working"
    yield "partitions", f"{len(partitions)} of {answer['partitions']} owned"
    lags = (_total(partitions, "lines_lag"), _total(partitions, "partials_lag"))
    yield "lag", f"{lags[0]} messages of lines, {lags[1]} of partial counts"
    oldest = max((worker["unflushed_seconds"] for worker in workers), default=0.0)
    since = f", for {_seconds(oldest)}" if oldest else ""
    yield "Cassandra", f"{_total(partitions, 'rows_waiting')} rows wait for it{since}"
    lines, late, rejected = (
        sum(worker[name] for worker in workers) for name in ("lines", "late", "rejected")
    )
    messages = f"{late:,} late and {rejected:,} rejected messages"
    yield "counted", f"{lines:,} lines since the workers' start; {messages}"


def _rows(answer: Mapping[str, Any], now: float) -> Iterator[tuple[str, ...]]:
    owned = {
        own["partition"]: (worker, own)
        for worker in answer["workers"]
        for own in worker["partitions"]
    }
    for partition in range(answer["partitions"]):
        if partition not in owned:
            yield (str(partition), "none", "unowned", *["-"] * 5)
            continue
        worker, own = owned[partition]
        yield (
            str(partition),
            worker["url"].removeprefix("http://"),  # wide tables do not fit a terminal
            worker["state"],
            _number(own["lines_lag"]),
            _number(own["partials_lag"]),
            _age(own["last_checkpoint"], now),
            _age(worker["last_flush"], now),
            _number(own["rows_waiting"]),
        )


def _total(partitions: list[Any], name: str) -> str:
    values = [own[name] for own in partitions]
    return "?" if None in values else f"{sum(values):,}"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _age(moment: str | None, now: float) -> str:
    return "-" if moment is None else _seconds(max(0.0, now - parse_time(moment) / 1000))


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
