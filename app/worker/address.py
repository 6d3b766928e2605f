"""The address at which the other workers reach this one."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from yarl import URL

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["own_url"]


def own_url(settings: Settings) -> URL:
    """Return the URL of this worker's web server; each assignment carries it to the other workers.

    A server on every address (0.0.0.0 or ::) gets the address from which this machine connects to
    the broker.
    """
    host = settings.web_host
    if _is_wildcard(host):
        host = _address_towards(settings.broker[0]) or socket.gethostname()
    return URL.build(scheme="http", host=host, port=settings.web_port)


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _address_towards(broker: str) -> str | None:
    host, _, port = broker.rpartition(":")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # of a datagram socket: chooses a route and sends nothing
            found: str = probe.getsockname()[0]
    except OSError:
        return None
    return found
