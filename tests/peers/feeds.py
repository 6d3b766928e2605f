"""A feed for each source: a peer that sends numbered lines, a few at a time."""

from __future__ import annotations

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import zmq
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from app.embedded.ports import free_port
from app.sources.actor_client import RemoteActor
from tests.delivered import administrator
from tests.peers import jetstream_server
from tests.peers.flume import FlumeAgent
from tests.peers.peer import Peer
from tests.peers.x_server import TOKEN
from tests.workers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FEEDS", "Feed"]

ACTOR = """
from app.sources.actor import StreamingActor

class Echo(StreamingActor[str]):
    def receive(self, message):
        self.store(message)
"""


class Feed(ABC):
    """A peer that keeps running while its producer is killed and restarted."""

    twice = False
    """Whether a line may come twice when a process dies, as docs/sources.md states."""
    stdin: Any = None
    """Standard input of the producer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}
        """Further environment variables of the producer."""
        self.port = free_port()

    @property
    @abstractmethod
    def arguments(self) -> list[str]:
        """The arguments of `faust -A app produce`."""

    @abstractmethod
    def send(self, first: int, last: int) -> None:
        """Send the lines from `first` up to and without `last`; may wait until they are read."""

    def lines(self, number: int) -> list[bytes]:
        """Return the first `number` lines."""
        return [b"%s line %d" % (type(self).__name__.encode(), n) for n in range(number)]

    def close(self) -> None:  # noqa: B027 - a file has no peer
        """Stop the peer."""

    def _text(self, first: int, last: int) -> bytes:
        return b"".join(line + b"\n" for line in self.lines(last)[first:])


class File(Feed):
    """A log that grows."""

    @property
    def arguments(self) -> list[str]:
        return ["file", str(self.folder / "log"), "--follow"]

    def send(self, first: int, last: int) -> None:
        with (self.folder / "log").open("ab") as log:
            log.write(self._text(first, last))


class Directory(Feed):
    """A directory that gets a file for each call."""

    @property
    def arguments(self) -> list[str]:
        (self.folder / "in").mkdir(exist_ok=True)
        return ["directory", str(self.folder / "in")]

    def send(self, first: int, last: int) -> None:
        (self.folder / "new").write_bytes(self._text(first, last))
        (self.folder / "new").rename(self.folder / "in" / str(first))


class Stdin(Feed):
    """A pipe that outlives the producer, as in a shell's `… | while produce`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stdin, self._writing = os.pipe()

    @property
    def arguments(self) -> list[str]:
        return ["stdin"]

    def send(self, first: int, last: int) -> None:
        text = self._text(first, last)
        while text:
            text = text[os.write(self._writing, text) :]

    def close(self) -> None:
        os.close(self._writing)
        os.close(self.stdin)


class Tcp(Feed):
    """A server with one client."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._peer: socket.socket | None = None

    @property
    def arguments(self) -> list[str]:
        return ["socket", "127.0.0.1", str(self.port)]

    def send(self, first: int, last: int) -> None:
        self._peer = self._peer or self._server.accept()[0]
        try:
            self._peer.sendall(self._text(first, last))
        except OSError:  # TCP does not report how much of it was read
            self.reconnect()

    def reconnect(self) -> None:
        """Close the connection of a client that is gone."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def close(self) -> None:
        self.reconnect()
        self._server.close()


class ZeroMQ(Feed):
    """A pusher."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._context: Any = zmq.Context()
        self._peer = self._context.socket(zmq.PUSH)
        self._peer.bind(f"tcp://127.0.0.1:{self.port}")

    @property
    def arguments(self) -> list[str]:
        return ["zeromq", f"tcp://127.0.0.1:{self.port}", "--pull"]

    def send(self, first: int, last: int) -> None:
        for line in self.lines(last)[first:]:
            self._peer.send(line)

    def close(self) -> None:
        self._context.destroy(linger=0)


class Actor(Feed):
    """A client over TCP."""

    twice = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "echo.py").write_text(ACTOR)
        self.environ["PYTHONPATH"] = f"{ROOT}:{folder}"
        self._client = RemoteActor("127.0.0.1", self.port)

    @property
    def arguments(self) -> list[str]:
        return ["actor", "echo:Echo", "--listen", f"127.0.0.1:{self.port}"]

    def send(self, first: int, last: int) -> None:
        for line in self.lines(last)[first:]:
            self._client.tell(line.decode())

    def flush(self) -> None:
        """Send the messages again that a killed producer did not acknowledge."""
        self._client.flush()

    def close(self) -> None:
        self._client.close()


class X(Feed):
    """A server of X's protocol."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environ["X_BEARER_TOKEN"] = TOKEN
        self._peer = Peer("x_server.py", folder)
        self._peer.start(0)

    @property
    def arguments(self) -> list[str]:
        return ["x", "--rule", "a", "--endpoint", f"http://127.0.0.1:{self._peer.port}"]

    def send(self, first: int, last: int) -> None:
        self._peer.serve(last)

    def lines(self, number: int) -> list[bytes]:
        return [b"post %d of many" % n for n in range(number)]

    def close(self) -> None:
        self._peer.kill()


class Bluesky(X):
    """A server of Jetstream's protocol."""

    def __init__(self, folder: Path) -> None:
        Feed.__init__(self, folder)
        self._peer = Peer("jetstream_server.py", folder)
        self._peer.start(0)

    @property
    def arguments(self) -> list[str]:
        return ["bluesky", "--endpoint", f"ws://127.0.0.1:{self._peer.port}/subscribe"]

    def lines(self, number: int) -> list[bytes]:
        return jetstream_server.lines(number)


class Flume(Feed):
    """An agent with a file channel."""

    twice = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._agent = FlumeAgent(folder / "agent", self.port, batch=100).start()

    @property
    def arguments(self) -> list[str]:
        return ["flume", "--listen", f"127.0.0.1:{self.port}"]

    def send(self, first: int, last: int) -> None:
        self._agent.put(f"from-{first}", self._text(first, last))

    def close(self) -> None:
        self._agent.kill()


class Kafka(Feed):
    """A topic of another cluster."""

    broker = ""
    """The broker of that cluster; set it before creating a feed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._topic = f"from-{os.urandom(4).hex()}"
        asyncio.run(self._make())

    @property
    def arguments(self) -> list[str]:
        return ["kafka", "--from", f"kafka://{self.broker}", "--from-topic", self._topic]

    def send(self, first: int, last: int) -> None:
        asyncio.run(self._send(self.lines(last)[first:]))

    async def _make(self) -> None:
        async with administrator(self.broker) as admin:
            await admin.create_topics([NewTopic(self._topic, 2, 1)])

    async def _send(self, lines: list[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.broker) as producer:
            await asyncio.gather(*[await producer.send(self._topic, line) for line in lines])


FEEDS: dict[str, type[Feed]] = {
    feed.__name__.lower(): feed
    for feed in (File, Directory, Stdin, Tcp, ZeroMQ, Actor, X, Bluesky, Flume, Kafka)
}
