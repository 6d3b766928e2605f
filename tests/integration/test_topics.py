"""Topics on a real Kafka: made as planned, found again, and refused where they do not fit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.errors import ConfigurationError, UnavailableError
from app.kafka.topics import ensure_topics, plans
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from app.embedded import EmbeddedKafka

INTERNAL = ("partials", "word_counts-changelog", "late", "rejected")


@pytest.fixture
def settings_of(kafka: EmbeddedKafka, unique: str) -> Callable[..., Settings]:
    """Settings for topics of this test's own."""

    def settings(**options: str) -> Settings:
        own = {"BROKER": kafka.address, "ID": unique, "LINES": f"{unique}_lines", "PARTITIONS": "3"}
        return Settings.read({f"WORDCOUNT_{k}": v for k, v in (own | options).items()})

    return settings


@pytest.fixture
async def admin(kafka: EmbeddedKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that asks the broker what there is."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await client.start()
    yield client
    await client.close()


async def configs(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """The settings of a topic, those that it inherits from the broker among them."""
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    entries: list[Any] = response.resources[0][4]
    return {entry[0]: entry[1] for entry in entries}


async def shown(admin: AIOKafkaAdminClient, topic: str) -> None:
    """Wait until the broker shows a topic that was made."""
    async with asyncio.timeout(120):
        while topic not in await admin.list_topics():
            pass


async def test_are_made_as_planned(
    settings_of: Callable[..., Settings], admin: AIOKafkaAdminClient, unique: str
) -> None:
    """All five topics are made, each with the planned partitions and configuration."""
    settings = settings_of()
    names = [f"{unique}_lines", *(f"{unique}-{name}" for name in INTERNAL)]
    assert sorted(await ensure_topics(settings)) == sorted(names)
    described = {topic["topic"]: topic for topic in await admin.describe_topics(names)}
    for plan in plans(settings):
        assert len(described[plan.name]["partitions"]) == 3
        found = await configs(admin, plan.name)
        assert {name: found[name] for name in plan.config} == plan.config


async def test_changelog_is_compacted_and_the_others_are_not(
    settings_of: Callable[..., Settings], admin: AIOKafkaAdminClient
) -> None:
    """The changelog keeps the newest row of each key; what passes by is deleted after a week.

    What did not count is deleted by size: its times are those it came with, however old.
    """
    settings = settings_of()
    await ensure_topics(settings)
    assert (await configs(admin, settings.changelog))["cleanup.policy"] == "compact"
    for topic, ms, size in (
        (settings.partials, "604800000", "-1"),
        (settings.late, "-1", "1073741824"),
        (settings.rejected, "-1", "1073741824"),
    ):
        found = await configs(admin, topic)
        assert found["cleanup.policy"] == "delete"
        assert (found["retention.ms"], found["retention.bytes"]) == (ms, size)


async def test_are_made_once(settings_of: Callable[..., Settings]) -> None:
    """A second start finds them and makes nothing."""
    settings = settings_of()
    await ensure_topics(settings)
    assert await ensure_topics(settings) == []


async def test_only_the_missing_ones_are_made(
    settings_of: Callable[..., Settings],
    create_topic: Callable[..., Awaitable[str]],
    unique: str,
) -> None:
    """A topic of lines that is there already stays as it is."""
    await create_topic(f"{unique}_lines", 3)
    made = await ensure_topics(settings_of())
    assert sorted(made) == sorted(f"{unique}-{name}" for name in INTERNAL)


@pytest.mark.parametrize("name", ["lines", *INTERNAL])
async def test_another_number_of_partitions_is_refused(
    name: str,
    settings_of: Callable[..., Settings],
    create_topic: Callable[..., Awaitable[str]],
    admin: AIOKafkaAdminClient,
    unique: str,
) -> None:
    """A topic that does not fit is named with the remedy, and no other one is made."""
    topic = f"{unique}_lines" if name == "lines" else f"{unique}-{name}"
    await create_topic(topic, 2)
    await shown(admin, topic)
    setting = "WORDCOUNT_LINES" if name == "lines" else "WORDCOUNT_ID"
    with pytest.raises(ConfigurationError) as refused:
        await ensure_topics(settings_of())
    assert str(refused.value) == (
        f"topic {topic} has 2 partitions, not 3: "
        f"set WORDCOUNT_PARTITIONS=2, or use another topic by {setting}"
    )
    assert [found for found in await admin.list_topics() if found.startswith(unique)] == [topic]


async def test_another_worker_s_topic_is_checked_too(
    settings_of: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that another worker makes at the same time is not taken as it comes."""
    settings = settings_of()
    await ensure_topics(settings)
    describe, first = AIOKafkaAdminClient.describe_topics, True

    async def late(client: AIOKafkaAdminClient) -> list[dict[str, Any]]:
        nonlocal first
        unseen, first = first, False
        found: list[dict[str, Any]] = [] if unseen else await describe(client)
        return found

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_topics", late)
    with pytest.raises(ConfigurationError, match="has 3 partitions, not 2"):
        await ensure_topics(settings_of(PARTITIONS="2"))


async def test_more_replicas_than_brokers_are_refused(
    settings_of: Callable[..., Settings],
) -> None:
    """The error of a topic that the broker refuses names the broker's reason."""
    with pytest.raises(ConfigurationError, match=r"can't be created: .*WORDCOUNT_REPLICATION"):
        await ensure_topics(settings_of(REPLICATION="2"))


async def test_no_broker_is_reported(
    settings_of: Callable[..., Settings], unused_port: int
) -> None:
    """Without a broker the line names its address."""
    address = f"127.0.0.1:{unused_port}"
    with pytest.raises(UnavailableError, match=f"no Kafka broker at {address}"):
        await ensure_topics(settings_of(BROKER=address))
