"""`faust -A app status`: the running workers and what each partition waits for."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from app.commands.errors import WordCountCommand
from app.commands.table import Column, show
from app.web.client import ask, url_option
from app.web.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["status"]

_COLUMNS = (
    Column("partition", right=True),
    Column("worker"),
    Column("state"),
    Column("lines lag", right=True),
    Column("partials lag", right=True),
    Column("checkpoint", right=True),
    Column("flush", right=True),
    Column("rows waiting", right=True),
)


@click.command(cls=WordCountCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the worker's JSON.")
@url_option
def status(as_json: bool, url: str | None) -> None:
    """Print the state of each partition: its worker, lags, last checkpoint and last flush.

    Lags are in messages; checkpoint and flush say how long ago the last one was.
    """
    answer = ask(url, "api/status", {})
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    show(_COLUMNS, list(_rows(answer, time.time())))
    for worker in answer["workers"]:
        click.echo(
            f"{worker['url']} {worker['state']}: since its start {worker['lines']:,} lines, "
            f"{worker['late']:,} late and {worker['rejected']:,} rejected messages"
        )
    for worker in answer["silent"]:
        click.echo(worker["reason"])


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
            worker["url"],
            worker["state"],
            _number(own["lines_lag"]),
            _number(own["partials_lag"]),
            _age(own["last_checkpoint"], now),
            _age(worker["last_flush"], now),
            _number(own["rows_waiting"]),
        )


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _age(moment: str | None, now: float) -> str:
    if moment is None:
        return "-"
    seconds = max(0.0, now - parse_time(moment) / 1000)
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
