"""ZeroMQ: messages of publishers (SUB) or pushers (PULL) as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError, UnavailableError
from app.sources.base import Batch, Source
from app.sources.descriptor import readable
from app.sources.extras import extra
from app.sources.progress import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Keys", "ZeroMQSource"]

_LONGEST_MESSAGE = 256 << 20
"""Bytes; a peer that sends a longer message is cut off by ZeroMQ."""

_MESSAGES_A_BATCH = 2000
_BYTES_A_BATCH = 1 << 20
_BATCHES_TO_STOP = 100
_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, slots=True)
class Keys:
    """Files of CURVE keys, as zmq.auth.create_certificates writes them."""

    own: Path
    """Our public and secret key."""
    server: Path | None = None
    """The server's public key; None: we are the server."""
    clients: Path | None = None
    """A directory of the public keys of those who may connect to us; None: whoever has ours."""


class ZeroMQSource(Source):
    """The frames of every message as lines, without end; with newlines in them, several.

    `skip` frames at the beginning of each message (a topic, say) are left out.
    """

    replayable = False

    def __init__(
        self,
        endpoint: str,
        *,
        pull: bool = False,
        bind: bool = False,
        prefixes: tuple[str, ...] = (),
        skip: int = 0,
        keys: Keys | None = None,
    ) -> None:
        super().__init__()
        with extra("zeromq"):
            import zmq
            import zmq.auth.thread
            import zmq.utils.monitor
        self._zmq: Any = zmq
        self._endpoint = endpoint
        self._bind = bind
        self._prefixes = prefixes or ("",)
        self._skip = skip
        self._keys = keys
        self.waits = pull
        self._context = self._zmq.Context()
        self._socket = self._context.socket(self._zmq.PULL if pull else self._zmq.SUB)
        self._monitor = self._socket.get_monitor_socket()
        self._authenticator: Any = None
        self._said = ""

    async def open(self) -> None:
        """Connect or bind."""
        zmq, socket = self._zmq, self._socket
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, _LONGEST_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 15_000)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)
        if self._keys is not None:
            self._lock(self._keys)
        if socket.type == zmq.SUB:
            for prefix in self._prefixes:
                socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        try:
            if self._bind:
                socket.bind(self._endpoint)
                say(f"Listening on {socket.last_endpoint.decode()}")
            else:
                socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            what = f"{'bind' if self._bind else 'connect'} to {self._endpoint}: {error.strerror}"
            if error.errno == zmq.EADDRINUSE:
                raise UnavailableError(f"can't {what}") from None
            raise ConfigurationError(f"can't {what}") from None

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what comes; once stopped, what ZeroMQ has taken in by then."""
        batches_to_stop = _BATCHES_TO_STOP
        while batches_to_stop:
            lines = self._receive()
            if lines:
                # A publisher that never pauses must not keep us from stopping.
                batches_to_stop -= self.stopping.is_set()
                yield Batch(
                    b"\n".join(lines), len(lines) + sum(line.count(b"\n") for line in lines)
                )
            elif self.stopping.is_set():
                return
            else:
                self._look_after_peers()
                await readable(self._socket.FD, self.stopping, _SECONDS_BETWEEN_LOOKS)

    async def close(self) -> None:
        """Let go of the socket."""
        if self._authenticator is not None:
            self._authenticator.stop()
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._context.destroy(linger=0)

    def _receive(self) -> list[bytes]:
        """The frames that are there, up to a batch of them."""
        lines: list[bytes] = []
        size = 0
        try:
            for _ in range(_MESSAGES_A_BATCH):
                frames = self._socket.recv_multipart(self._zmq.NOBLOCK)[self._skip :]
                lines += [frame.removesuffix(b"\n") for frame in frames]
                size += sum(map(len, frames))
                if size > _BYTES_A_BATCH:
                    break
        except self._zmq.Again:
            pass
        return lines

    def _lock(self, keys: Keys) -> None:
        """Speak CURVE."""
        auth = self._zmq.auth
        try:
            public, secret = auth.load_certificate(keys.own)
            server = auth.load_certificate(keys.server)[0] if keys.server else None
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"a CURVE key can't be read: {error}") from None
        if secret is None:
            raise ConfigurationError(f"{keys.own} holds no secret key; name the .key_secret file")
        self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
        if server is not None:
            self._socket.curve_serverkey = server
            return
        self._socket.curve_server = True
        if keys.clients is not None:
            if not keys.clients.is_dir():
                raise ConfigurationError(f"{keys.clients} is no directory of clients' keys")
            self._authenticator = auth.thread.ThreadAuthenticator(self._context)
            self._authenticator.start()
            self._authenticator.configure_curve(domain="*", location=str(keys.clients))

    def _look_after_peers(self) -> None:
        """Say when the state of the connection has changed: ZeroMQ itself says nothing."""
        zmq = self._zmq
        words = {
            zmq.EVENT_HANDSHAKE_SUCCEEDED: "connected",
            zmq.EVENT_DISCONNECTED: "the connection has ended; trying again",
            zmq.EVENT_CONNECT_RETRIED: "does not answer; trying again",
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the peer is none of ZeroMQ, or ended at once",
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "the peer does not speak ZeroMQ as we do",
            zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the keys do not fit",
        }
        while self._monitor.poll(0):
            event = zmq.utils.monitor.recv_monitor_message(self._monitor)
            said = words.get(event["event"], "")
            if said and said != self._said:
                say(f"{self._endpoint}: {said}")
                self._said = said
