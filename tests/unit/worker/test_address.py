"""The address at which the other workers reach this one."""

from __future__ import annotations

import socket

import pytest

from app.settings import Settings
from app.worker.address import own_url


def url_of(**settings: str) -> str:
    return str(own_url(Settings.read({f"WORDCOUNT_{k}": v for k, v in settings.items()})))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:6066"),
        ("::1", "http://[::1]:6066"),
        ("counts.example.org", "http://counts.example.org:6066"),
    ],
)
def test_a_worker_is_reached_where_it_listens(host: str, url: str) -> None:
    """The URL for the other workers is that of WORDCOUNT_WEB_HOST and _PORT."""
    assert url_of(WEB_HOST=host) == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what is tested
def test_one_that_listens_everywhere_is_reached_where_it_meets_the_broker(host: str) -> None:
    """An address that means all of them is no place to go to."""
    assert url_of(WEB_HOST=host, BROKER="kafka://127.0.0.1:9092") == "http://127.0.0.1:6066"


def test_without_a_way_to_the_broker_the_machine_s_name_will_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broker whose name is not known yet does not stop the start."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(socket, "gethostname", lambda: "this-machine")
    assert url_of(WEB_HOST="0.0.0.0") == "http://this-machine:6066"  # noqa: S104 - what is tested
