"""Sources that can be read again deliver every line exactly once, through kill -9 and rotation."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from aiokafka import AIOKafkaProducer

from tests import debian
from tests.delivered import delivered, lines_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.embedded import EmbeddedKafka
    from tests.producers import Produce


def numbered(start: int, end: int) -> bytes:
    return b"".join(b"line number %d\n" % number for number in range(start, end))


def expected(end: int) -> list[bytes]:
    return sorted(numbered(0, end).splitlines())


async def test_a_file_is_delivered_once_though_its_producer_is_killed(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Each run resumes where the one before was killed; the last one finds nothing left."""
    path = tmp_path / "big"
    path.write_bytes(numbered(0, 600_000) + b"line without end")
    os.utime(path, (1_700_000_000, 1_700_000_000))  # long ago: the file counts as complete
    for lines in (1, 100_000):
        run = produce.watch("file", path, "--resume", "--rate", "200000")
        await delivered(kafka.address, unique, lines)
        run.kill()
    status, out, err = produce("file", path, "--resume")
    assert status == 0, err
    assert "bytes, delivered before" in err
    assert 0 < int(out.split()[0]) < 500_000
    assert produce("file", path, "--resume")[1] == "0 lines acknowledged by Kafka\n"
    with path.open("ab") as file:
        file.write(b"\nmore\n")
    assert produce("file", path, "--resume")[1] == "2 lines acknowledged by Kafka\n"
    found = sorted(await lines_in(kafka.address, unique))
    assert found == sorted([*numbered(0, 600_000).splitlines(), b"line without end", b"", b"more"])


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
async def test_a_compressed_file_resumes(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path, suffix: str
) -> None:
    """The position counts bytes of text; another file of the name is read from its beginning."""
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".zst": lambda data: bytes(pa.Codec("zstd").compress(data, asbytes=True)),
    }
    pack = packers[suffix]
    path = tmp_path / f"packed{suffix}"
    path.write_bytes(pack(numbered(0, 200_000)))
    run = produce.watch("file", path, "--resume", "--rate", "100000")
    await delivered(kafka.address, unique, 1)
    run.kill()
    assert produce("file", path, "--resume")[0] == 0
    assert sorted(await lines_in(kafka.address, unique)) == expected(200_000)
    path.write_bytes(pack(b"another text\n"))
    assert produce("file", path, "--resume")[1] == "1 lines acknowledged by Kafka\n"


LOGROTATE = {
    "create": "create",
    "copytruncate": "copytruncate",
    "compress": "create\ncompress",
    "dateext": "create\ndateext\ndateformat -%Y%m%d-%s",
}


@pytest.mark.parametrize("way", LOGROTATE)
async def test_a_log_is_followed_through_logrotate_and_kill(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path, way: str
) -> None:
    """Logrotate rotates in each of its ways, while the producer runs and while it does not."""
    rotate = debian.program("logrotate", "logrotate", "libpopt0")
    log, config = tmp_path / "app.log", tmp_path / "logrotate.conf"
    config.write_text(f"{log} {{\nrotate 9\nsize 1\n{LOGROTATE[way]}\n}}\n")
    config.chmod(0o600)

    async def rotated() -> None:
        await asyncio.sleep(1.1 if way == "dateext" else 0)  # its names are by the second
        command = [rotate, "--force", "--state", str(tmp_path / "state"), str(config)]
        done = await asyncio.to_thread(
            subprocess.run, command, env=debian.environ(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def write(start: int, end: int) -> None:
        with log.open("ab") as file:
            file.write(numbered(start, end))

    write(0, 1000)
    run = produce.watch("file", log, "--follow")
    await delivered(kafka.address, unique, 1000)
    await rotated()
    write(1000, 2000)
    await delivered(kafka.address, unique, 2000)
    run.kill()
    write(2000, 3000)
    await rotated()
    write(3000, 4000)
    await rotated()
    write(4000, 5000)
    run = produce.watch("file", log, "--follow")
    assert await delivered(kafka.address, unique, 5000) == expected(5000), run.said.read_text()
    assert run.stop()[0] == 0
    assert sorted(await lines_in(kafka.address, unique)) == expected(5000)


async def test_files_of_a_directory_are_delivered_once(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Existing files and files moved in are read; a damaged file delays no other."""
    folder = tmp_path / "in"
    folder.mkdir()

    def move_in(name: str, data: bytes) -> None:
        hidden = folder / f".{name}"
        hidden.write_bytes(data)
        hidden.rename(folder / name)

    move_in("one", numbered(0, 100_000))
    (folder / "half.tmp").write_bytes(b"temporary\n")
    (folder / "sub").mkdir()
    run = produce.watch("directory", folder)
    await delivered(kafka.address, unique, 1)
    run.kill()
    move_in("two.gz", gzip.compress(numbered(100_000, 200_000)))
    move_in("bad.gz", b"this is not gzip at all")
    run = produce.watch("directory", folder)
    await delivered(kafka.address, unique, 200_000)
    move_in("three.zst", pa.Codec("zstd").compress(numbered(200_000, 200_009), asbytes=True))
    await delivered(kafka.address, unique, 200_009)
    (folder / "one").unlink()
    status, _ = run.stop()
    assert status == 1
    said = run.said.read_text()
    assert "bad.gz can't be read to its end" in said
    assert "skipping it until it changes" in said
    run = produce.watch("directory", folder)
    move_in("one", numbered(200_009, 200_010))
    assert await delivered(kafka.address, unique, 200_010) == expected(200_010)
    run.stop()


async def test_of_two_producers_of_a_file_the_first_ends(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path, wait_until: Any
) -> None:
    """The second takes over: no line comes twice, and the first reports why it ends."""
    log = tmp_path / "log"
    log.write_bytes(numbered(0, 10))
    first = produce.watch("file", log, "--follow")
    await delivered(kafka.address, unique, 10)
    second = produce.watch("file", log, "--follow")
    wait_until(lambda: "resuming after" in second.said.read_text())
    with log.open("ab") as file:
        file.write(numbered(10, 20))
    assert await delivered(kafka.address, unique, 20) == expected(20)
    assert first.process.wait(120) == 1
    assert "another producer has taken over" in first.said.read_text()
    assert second.stop()[0] == 0


async def test_a_transaction_of_another_producer_is_waited_for(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path, wait_until: Any
) -> None:
    """It may hide positions behind it; they are read after its end, so no line comes twice."""
    log = tmp_path / "log"
    log.write_bytes(numbered(0, 10))
    run = produce.watch("file", log, "--follow")
    await delivered(kafka.address, unique, 10)
    other = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=f"{unique}-other")
    await other.start()
    await other.begin_transaction()
    await other.send_and_wait(f"{unique}-positions", b"{}", key=b'["other", "key"]')
    with log.open("ab") as file:
        file.write(numbered(10, 20))
    await delivered(kafka.address, unique, 20)
    run.kill()
    run = produce.watch("file", log, "--follow")
    wait_until(lambda: "Waiting for the end of a transaction" in run.said.read_text(), 40)
    await other.commit_transaction()
    await other.stop()
    with log.open("ab") as file:
        file.write(numbered(20, 30))
    assert await delivered(kafka.address, unique, 30) == expected(30)
    assert run.stop()[0] == 0
