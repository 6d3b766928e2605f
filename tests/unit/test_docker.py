"""docker/compose.yaml sets known settings only, and its files exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from app.settings import Settings, describe

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}


def test_every_variable_is_a_setting() -> None:
    """A container with an unknown setting would not start."""
    known = {variable for variable, _, _ in describe()}
    for service in SERVICES.values():
        given = service.get("environment", {})
        assert {name for name in given if name.startswith("WORDCOUNT_")} <= known


def test_workers_beyond_loopback_have_the_token(tmp_path: Path) -> None:
    """They listen for the other worker and the host, which need it; it comes as a secret."""
    assert len(WORKERS) == 2
    (tmp_path / "web_token").write_text("0123456789abcdef", encoding="utf-8")
    for worker in WORKERS.values():
        assert worker["secrets"] == ["web_token"]
        environ = {
            name: value.replace("/run/secrets", str(tmp_path))
            for name, value in worker["environment"].items()
        }
        settings = Settings.read(environ)
        assert (settings.web_host, settings.token) == ("0.0.0.0", "0123456789abcdef")  # noqa: S104


def test_nothing_is_published_beyond_this_machine() -> None:
    """Every port is bound to loopback."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_asks_every_worker_with_the_token() -> None:
    """Prometheus scrapes every worker, since each exports its own partitions only."""
    config = yaml.safe_load((DOCKER / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    (targets,) = job["static_configs"]
    assert targets["targets"] == [f"{name}:6066" for name in WORKERS]
    assert job["authorization"] == {"credentials_file": "/run/secrets/web_token"}
    assert SERVICES["prometheus"]["secrets"] == ["web_token"]


def test_files_that_are_mounted_are_there() -> None:
    """Docker would make an empty directory of one that is missing."""
    mounted = [
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert len(mounted) == 3
    assert all((DOCKER / path).exists() for path in mounted)
