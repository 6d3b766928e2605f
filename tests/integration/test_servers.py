"""`faust -A app servers`, as a user runs it."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.embedded.ports import free_port, is_open
from app.settings import Settings
from tests.foreground import children, output_until, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


def java(process: subprocess.Popen[str]) -> list[int]:
    """The servers that run by now; Python itself has had other children before."""
    pids = []
    for child in children(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "java":
                pids.append(child.pid)
    return pids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_servers_serve_until_a_signal(
    number: signal.Signals, tmp_path: Path, gone: Callable[[int], bool]
) -> None:
    """It says where both serve and `ready`, writes the settings, and a signal ends it with 0."""
    port = free_port()
    env_file = tmp_path / "servers.env"
    env_file.write_text("WORDCOUNT_BROKER=stale\n")
    with running(
        "servers",
        "--kafka-port",
        str(port),
        "--env-file",
        str(env_file),
        "--data",
        str(tmp_path / "data"),
    ) as process:
        said = output_until(process, "ready\n")
        settings = Settings.read({"WORDCOUNT_ENV_FILE": str(env_file)})
        (host, cassandra_port), *_ = settings.cassandra
        assert settings.broker == (f"127.0.0.1:{port}",)
        assert is_open(port)
        assert is_open(cassandra_port, host)
        assert f"127.0.0.1:{port}" in said
        assert f"127.0.0.1:{cassandra_port}" in said
        pids = [child.pid for child in children(process)]
        assert len(pids) == 2
        process.send_signal(number)
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 0, errors
    assert errors == ""
    assert all(gone(pid) for pid in pids)
    assert not env_file.exists()
    assert (tmp_path / "data" / "kafka").is_dir()
    assert (tmp_path / "data" / "cassandra").is_dir()


def test_servers_stop_while_they_start(
    wait_until: Callable[..., Any], gone: Callable[[int], bool]
) -> None:
    """A signal before `ready` ends it with 0 too, and leaves no Java."""
    with running("servers") as process:
        pids = wait_until(lambda: java(process))
        process.terminate()
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 0, errors
    assert all(gone(pid) for pid in pids)


def test_a_server_that_dies_ends_the_command(gone: Callable[[int], bool]) -> None:
    """When a server is killed it says so in one line, stops the other and exits with 1."""
    with running("servers") as process:
        output_until(process, "ready\n")
        first, second = children(process)
        first.kill()
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 1
    assert errors.startswith("Error: ")
    assert "was ended by SIGKILL while it served" in errors
    assert errors.count("\n") == 1
    assert gone(second.pid)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--kafka-port", "29092", "--cassandra-port", "29092"), "are both 29092; name two ports"),
        (("--env-file", "missing/servers.env"), "--env-file missing/servers.env: can't be written"),
    ],
)
def test_wrong_options_are_one_clear_line(options: tuple[str, ...], said: str) -> None:
    """A wrong option stops the command with status 2 before it starts a server."""
    with running("servers", *options) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.startswith("Error: ")
    assert said in errors
    assert errors.count("\n") == 1


def test_a_port_in_use_is_one_clear_line(kafka: Any) -> None:
    """A port that somebody has stops it with status 1 and names the port."""
    with running("servers", "--kafka-port", str(kafka.port)) as process:
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 1
    assert errors.startswith(f"Error: Kafka can't listen on {kafka.address}")
    assert errors.count("\n") == 1
