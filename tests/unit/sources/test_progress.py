"""Progress and outages of Kafka are printed on stderr while a run lasts."""

import asyncio
import logging

import pytest

from app.sources import progress
from app.sources.delivery.contract import Totals
from app.sources.progress import LastWarning, client_warnings, reported
from app.sources.sample import SampleSource


class Stalled:
    """A fake delivery with a given stall time."""

    def __init__(self) -> None:
        self.stalled_seconds = 0.0
        self.totals = Totals(taken=12, acknowledged=2, messages=1, bytes=9, refused=0, restamped=0)


async def until(capsys: pytest.CaptureFixture[str], text: str) -> str:
    """Wait for a text on stderr; return what was printed."""
    printed = ""
    async with asyncio.timeout(10):
        while text not in printed:
            await asyncio.sleep(0.001)
            printed += capsys.readouterr().err
    return printed


async def test_an_outage_is_printed_once_with_its_reason_and_its_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the Kafka client's last warning."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.001)
    delivery, warning = Stalled(), LastWarning()
    warning.text = "connection refused"
    async with reported(SampleSource(), delivery, warning):  # type: ignore[arg-type]  # a fake
        delivery.stalled_seconds = 6
        printed = await until(capsys, "retrying")
        await asyncio.sleep(0.02)
        delivery.stalled_seconds = 0
        printed += await until(capsys, "Kafka answers again")
    first, last = printed.splitlines()
    assert first == (
        "Kafka has acknowledged nothing for 6 s (connection refused); 10 lines wait, retrying"
    )
    assert last == "Kafka answers again, after 6 s"


def test_the_clients_warnings_stay_off_stderr(caplog: pytest.LogCaptureFixture) -> None:
    """The last one is kept for the report of an outage; afterwards the log is as it was."""
    log = logging.getLogger("aiokafka.client")
    with client_warnings() as warning:
        log.warning("first")
        log.warning("no broker at %s", "127.0.0.1:1")
        assert warning.text == "no broker at 127.0.0.1:1"
        assert caplog.messages == []
    log.warning("later")
    assert caplog.messages == ["later"]
