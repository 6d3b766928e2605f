"""The source of `produce zeromq`: messages of publishers (SUB) or pushers (PULL) as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError, UnavailableError
from app.sources.base import Batch, Source
from app.sources.descriptor import readable
from app.sources.extras import extra
from app.sources.notices import notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Keys", "ZeroMQSource"]

_LONGEST_MESSAGE = 256 << 20
"""Bytes; ZeroMQ closes the connection of a peer that sends a longer message."""

_MESSAGES_A_BATCH = 2000
_BYTES_A_BATCH = 1 << 20
_BATCHES_TO_STOP = 100
_MONITOR_SECONDS = 0.5
"""An idle source checks for events of the connection so often."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Files of CURVE keys, as zmq.auth.create_certificates writes them."""

    own: Path
    """Our public and secret key."""
    server: Path | None = None
    """The server's public key; None: we are the server."""
    clients: Path | None = None
    """A directory with the public keys of allowed clients; None: all with our public key."""


class ZeroMQSource(Source):
    """Yields each frame of every message as a line, or several if it contains newlines.

    The source skips the first `skip` frames of each message, for example a topic.
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
        self._last_state = ""

    async def open(self) -> None:
        """Connect or bind."""
        zmq, socket = self._zmq, self._socket
        # Nothing is sent, so a close need not wait. The other options bound memory and waits, and
        # detect dead peers.
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, _LONGEST_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 15_000)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)
        if self._keys is not None:
            self._configure_curve(self._keys)
        if socket.type == zmq.SUB:
            for prefix in self._prefixes:
                socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        try:
            if self._bind:
                socket.bind(self._endpoint)
                notify(f"Listening on {socket.last_endpoint.decode()}")
            else:
                socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            action = f"{'bind' if self._bind else 'connect'} to {self._endpoint}: {error.strerror}"
            if error.errno == zmq.EADDRINUSE:
                raise UnavailableError(f"can't {action}") from None
            raise ConfigurationError(f"can't {action}") from None

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield messages as they arrive; once stopped, those that ZeroMQ has received by then."""
        batches_to_stop = _BATCHES_TO_STOP
        while batches_to_stop:
            lines = self._receive()
            if lines:
                # Count down once stopped: a publisher that never pauses must not prevent the end.
                batches_to_stop -= self.stopping.is_set()
                yield Batch(
                    b"\n".join(lines), len(lines) + sum(line.count(b"\n") for line in lines)
                )
            elif self.stopping.is_set():
                return
            else:
                # Wait only after an empty receive: ZeroMQ's descriptor signals changes, not that
                # messages remain.
                self._report_connection()
                await readable(self._socket.FD, self.stopping, _MONITOR_SECONDS)

    async def close(self) -> None:
        """Close the socket."""
        if self._authenticator is not None:
            self._authenticator.stop()
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._context.destroy(linger=0)

    def _receive(self) -> list[bytes]:
        """Receive the frames that have arrived, up to a batch."""
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

    def _configure_curve(self, keys: Keys) -> None:
        """Load the keys and enable CURVE. Raises ConfigurationError."""
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

    def _report_connection(self) -> None:
        """Report changes of the connection's state: ZeroMQ reconnects in silence."""
        zmq = self._zmq
        states = {
            zmq.EVENT_HANDSHAKE_SUCCEEDED: "connected",
            zmq.EVENT_DISCONNECTED: "the connection has ended; retrying",
            zmq.EVENT_CONNECT_RETRIED: "does not answer; retrying",
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the peer does not use ZeroMQ, or closed at once",
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "the peer uses an incompatible protocol",
            zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the keys do not fit",
        }
        while self._monitor.poll(0):
            event = zmq.utils.monitor.recv_monitor_message(self._monitor)
            state = states.get(event["event"], "")
            if state and state != self._last_state:
                notify(f"{self._endpoint}: {state}")
                self._last_state = state
