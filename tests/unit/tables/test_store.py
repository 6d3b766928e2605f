"""The store below the table on a real RocksDB, whose files go bad on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from faust.types import TP

from app import create_app
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tables.store import CountStore

TOPIC = TP("changelog", 0)
KEYS = [b"%09d" % number for number in range(20_000)]
WINDOW = b"\xff" * 8
"""A window after those of KEYS, whose first 8 bytes are one window for each ten keys."""


@pytest.fixture
def failures() -> list[BaseException]:
    """The errors that have stopped the worker, first to last."""
    return []


@pytest.fixture
def store(
    tmp_path: Path, failures: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CountStore]:
    """A store with rows at offset 7, in a file of which bytes in the middle have gone bad."""
    application = create_app({})
    application.conf.datadir = tmp_path
    monkeypatch.setattr(application, "fail", failures.append)
    store = application.table.store
    databases = store.databases
    databases.write(0, ((key, key[::-1] * 4) for key in KEYS), 7)
    databases.database(0).flush()
    databases.close(0)
    [path] = tmp_path.rglob("*.sst")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xde\xad\xbe\xef" * 8)
    yield store
    databases.close(0)


def write_after_compaction(store: CountStore) -> None:
    """Write when RocksDB has gone over all files, as it does in the background."""
    store.databases.write(0, ((key, b"new") for key in KEYS), 8)
    store.databases.database(0).flush()
    store.databases.database(0).compact_range(None, None)
    store.databases.write(0, [], 9)


USES: dict[str, Callable[[CountStore], Any]] = {
    "read": lambda store: store.databases.read(0, KEYS),
    "scan": lambda store: list(store.databases.scan(0, b"", WINDOW)),
    "prefixes": lambda store: list(store.databases.prefixes(0)),
    "write": write_after_compaction,
}


@pytest.mark.parametrize("use", USES)
def test_a_database_that_turns_out_damaged_stops_the_worker(
    use: str, store: CountStore, failures: list[BaseException]
) -> None:
    """No row is skipped in silence; one line names the directory and the remedy."""
    assert store.persisted_offset(TOPIC) == 7
    with pytest.raises(UnavailableError) as raised:
        USES[use](store)
    message = str(raised.value)
    assert [str(failure) for failure in failures] == [message]
    assert message.startswith(
        f"{store.databases.path(0)} is damaged (Corruption: block checksum mismatch"
    )
    assert message.endswith("; the next start throws it away and recovers it from the changelog")
    assert "\n" not in message


@pytest.mark.parametrize("use", USES)
def test_a_database_that_turned_out_damaged_is_recreated_when_it_is_next_opened(
    use: str, store: CountStore
) -> None:
    """It opens without complaint, so it would stop every worker; the changelog has all rows."""
    with pytest.raises(UnavailableError):
        USES[use](store)
    for _ in range(2):
        store.databases.close(0)
        assert store.persisted_offset(TOPIC) is None
        assert list(store.databases.scan(0, b"", WINDOW)) == []
    store.databases.write(0, [(b"123456789", b"row")], 8)
    store.databases.close(0)
    assert store.persisted_offset(TOPIC) == 8
    assert list(store.databases.prefixes(0)) == [b"12345678"]
