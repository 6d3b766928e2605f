"""Settings and addresses of the servers, without a start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.embedded import EmbeddedCassandra, EmbeddedKafka
from app.embedded.kafka import _escape
from app.errors import UnavailableError

ROOT = Path(__file__).parents[3]


def test_ports_are_known_before_the_start() -> None:
    """A server has its address before the start, so that clients can be configured."""
    kafka = EmbeddedKafka(19092)
    assert kafka.address == "127.0.0.1:19092"
    assert not kafka.running
    assert EmbeddedKafka().port != EmbeddedKafka().port


def test_kafka_settings_can_be_given() -> None:
    """Given settings replace the defaults, and None removes a default."""
    kafka = EmbeddedKafka(
        settings={"message.max.bytes": 5, "auto.create.topics.enable": "true", "node.id": None}
    )
    properties = kafka.server_properties()
    assert properties["message.max.bytes"] == "5"
    assert properties["auto.create.topics.enable"] == "true"
    assert properties["transaction.state.log.min.isr"] == "1"
    assert "node.id" not in properties


def test_cassandra_settings_can_be_given(tmp_path: Path) -> None:
    """A second node has its own address and joins by the seed of the first."""
    first = EmbeddedCassandra()
    second = EmbeddedCassandra(
        first.port, host="127.0.0.2", seeds=[first.seed], settings={"num_tokens": 4}
    )
    yaml = second.cassandra_yaml(tmp_path)
    assert yaml["rpc_address"] == yaml["listen_address"] == "127.0.0.2"
    assert yaml["num_tokens"] == 4
    assert first.seed in json.dumps(yaml["seed_provider"])


def test_a_step_that_ends_between_two_looks_has_succeeded() -> None:
    """A step whose process meets the condition and ends just after a look is no failed start."""
    looks = iter([False, True])
    ended: Any = SimpleNamespace(running=False)
    EmbeddedKafka()._wait_until(lambda: next(looks), ended)


def test_paths_are_written_as_java_reads_them() -> None:
    """Backslashes and letters beyond ASCII survive a properties file."""
    assert _escape("C:\\düse") == "C:\\\\d\\u00fcse"


def test_an_operation_on_a_stopped_server_names_the_remedy() -> None:
    """An operation that needs a running server raises an error with the remedy."""
    with pytest.raises(UnavailableError, match="Kafka does not run; start it first"):
        EmbeddedKafka().pause()


def test_a_missing_extra_is_one_clear_line() -> None:
    """Without the extra `embedded` the import names the package to install."""
    code = "import sys; sys.modules['jgo'] = None; import app.embedded"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    last = ran.stderr.splitlines()[-1]
    assert "need the package jgo: pip install 'wordcount-stream[embedded]'" in last
