"""The reason why a server ended, found in outputs of real servers."""

from __future__ import annotations

import socket

import pytest

from app.embedded.diagnosis import End, explain


def message(text: str, exit_status: int = 1, ports: dict[str, int] | None = None) -> str:
    line = str(
        explain(End("Kafka", "before it served", exit_status, text), ports or {}, "127.0.0.1")
    )
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("java.io.IOException: No space left on device", "no space left on the disk"),
        (
            "Terminating due to java.lang.OutOfMemoryError: Java heap space\n",
            "give it a larger heap",
        ),
        (
            (
                "Invalid maximum heap size: -Xmxfoo\n"
                "Error: Could not create the Java Virtual Machine.\n"
                "Error: A fatal exception has occurred. Program will exit.\n"
            ),
            "before it served: Invalid maximum heap size: -Xmxfoo",
        ),
        (
            (
                "ERROR 2026-01-02 03:04:05,678 Daemon - Fatal\n"
                "java.lang.RuntimeException: outer\n\tat a.B.c(B.java:1)\n"
                "Caused by: java.io.IOException: inner\n\t... 11 more\n"
                "INFO  2026-01-02 03:04:05,679 Daemon - No Exception worth a line\n"
            ),
            "Caused by: java.io.IOException: inner",
        ),
        ("INFO  2026-01-02 03:04:05,678 Kafka$ - last words\n", "before it served: last words"),
        ("", "it wrote nothing"),
    ],
)
def test_the_cause_is_named(text: str, line: str) -> None:
    """One line names a known cause with its remedy, or the last line about an error."""
    assert line in message(text)


def test_the_port_in_use_is_named() -> None:
    """The reason names the port in use of several ports, with the remedy."""
    text = "java.net.BindException: Address already in use"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = message(text, ports={"port": port})
    assert f"127.0.0.1:{port}" in line
    assert "stop what uses it, or choose another port" in line


@pytest.mark.parametrize(("exit_status", "name"), [(-9, "SIGKILL"), (143, "SIGTERM")])
def test_a_signal_is_named(exit_status: int, name: str) -> None:
    """The reason names the signal that killed a server, whatever the log holds."""
    assert name in message("INFO fine", exit_status)
