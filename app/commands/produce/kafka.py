"""`faust -A app produce kafka`: the lines of another topic, of this cluster or another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from app import parsers
from app.commands.parsed import Parsed
from app.commands.produce import _common as common

if TYPE_CHECKING:
    from app.sources.base import Source

__all__ = ["kafka"]


@common.source
@click.option(
    "--from",
    "brokers",
    type=Parsed("kafka://HOST:PORT", parsers.brokers),
    help="Brokers of the cluster to copy from, ';' between them [default: WORDCOUNT_BROKER].",
)
@click.option(
    "--from-topic",
    type=Parsed("TOPIC", parsers.topic),
    required=True,
    help="Topic to copy.",
)
@click.option(
    "--group",
    type=Parsed("NAME", parsers.topic),
    help="Name of this copy: another name starts a new copy [default: {WORDCOUNT_ID}-copy].",
)
@click.option(
    "--to-end", is_flag=True, help="End where the topic ends now [default: wait for new lines]."
)
@common.rate
def kafka(
    *, brokers: tuple[str, ...] | None, from_topic: str, group: str | None, to_end: bool
) -> Source:
    """Copy the lines of a Kafka topic, of this cluster or another, each exactly once.

    Lines keep their times, headers and order by partition. The position of the copy is written in
    the transactions of the lines: when it is killed and restarted, it resumes exactly there.
    """
    from app.settings import Settings
    from app.sources.kafka.source import KafkaSource

    settings = Settings.read(os.environ)
    topic = click.get_current_context().params["topic"]
    return KafkaSource(
        brokers or settings.broker,
        from_topic,
        group=group or f"{settings.id}-copy",
        target=(settings.broker, topic or settings.lines),
        to_end=to_end,
    )
