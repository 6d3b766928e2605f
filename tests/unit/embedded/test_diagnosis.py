"""Why a server ended, from what real ones wrote."""

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
    ("text", "said"),
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
                "INFO  2026-01-02 03:04:05,679 Daemon - No Exception to speak of\n"
            ),
            "Caused by: java.io.IOException: inner",
        ),
        ("INFO  2026-01-02 03:04:05,678 Kafka$ - last words\n", "before it served: last words"),
        ("", "it wrote nothing"),
    ],
)
def test_the_cause_is_named(text: str, said: str) -> None:
    """One line names the cause: a known one with its remedy, else the last telling line."""
    assert said in message(text)


def test_the_port_that_is_taken_is_named() -> None:
    """Of several ports the one in use is named, with the remedy."""
    text = "java.net.BindException: Address already in use"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = message(text, ports={"port": port})
    assert f"127.0.0.1:{port}" in said
    assert "stop what uses it, or choose another port" in said


@pytest.mark.parametrize(("exit_status", "name"), [(-9, "SIGKILL"), (143, "SIGTERM")])
def test_a_signal_is_named(exit_status: int, name: str) -> None:
    """A server that was killed is said to have been, whatever its log holds."""
    assert name in message("INFO fine", exit_status)
