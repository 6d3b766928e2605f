"""The lock file of the jars: which jars there are, and which fit this system."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from app.embedded.jar_lock import CASSANDRA, KAFKA, Jar, read_lock

if TYPE_CHECKING:
    import pytest


def test_the_lock_file_is_sound() -> None:
    """Every jar has a SHA-256, and no two contents share a name."""
    lock = read_lock()
    assert {jar.set for jar in lock} == {KAFKA, CASSANDRA}
    assert all(len(jar.sha256) == 64 for jar in lock)
    assert len({jar.name for jar in lock}) == len({(jar.name, jar.sha256) for jar in lock})


def test_no_jar_lies_beside_another() -> None:
    """A manifest that names jars beside its own never finds those of another set or version."""
    jars = [jar for jar in read_lock() if jar.fits]
    assert len({jar.path.parent for jar in jars}) == len({(jar.name, jar.sha256) for jar in jars})


def test_native_code_of_other_systems_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar fits when its classifier is of this system or of none."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    classifiers = (
        *("", "native", "shaded"),
        *("linux-x86_64", "linux-aarch_64", "osx-x86_64", "windows-x86_64"),
    )
    assert [c for c in classifiers if Jar("kafka", "org.example", "one", "1.0", c, "").fits] == [
        "",
        "native",
        "shaded",
        "linux-x86_64",
    ]
