"""Imports point one way, and every distribution that is imported is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = ("app", "agents", "tables")

# Folders and files of the application that may import what an extra installs.
PLACES = {
    "embedded": ("app/embedded/",),
    "zeromq": ("app/sources/zeromq.py",),
    "actor": ("app/sources/actor",),
    "flume": ("app/sources/flume/",),
}
# Modules that a test makes up, or writes into a directory of its own.
MADE_UP = {"echo", "no_such_package"}
# Distributions that no file imports by name, with their users.
UNIMPORTED = {
    "cramjam",  # aiokafka, for zstd
}


def test_imports_point_one_way() -> None:
    """The contracts in pyproject.toml hold: layers, independence, purity, no circles."""
    # A process of its own: import-linter disables the loggers that are there.
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_has_its_layer() -> None:
    """A new file or folder of app cannot stay outside the contract of layers."""
    contracts = {
        contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]
    }
    named = {
        name for layer in contracts["layers"]["layers"] for name in re.findall(r"[\w.]+", layer)
    }
    found = {
        f"app.{path.stem}"
        for path in (ROOT / "app").iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
    }
    assert found == named - {"agents", "tables"}


def test_the_application_declares_what_it_imports() -> None:
    """An import works after `pip install` of the project, with its extra where that is needed."""
    declared = _names(PROJECT["project"]["dependencies"])
    extras = {name: _names(PROJECT["project"]["optional-dependencies"][name]) for name in PLACES}
    undeclared = {
        (file, module)
        for file, module in _imports(*OURS)
        if not any(
            distribution in declared
            or any(
                file.startswith(PLACES[name]) and distribution in extras[name] for name in PLACES
            )
            for distribution in _distributions(module)
        )
    }
    assert not undeclared


def test_the_tests_declare_what_they_import() -> None:
    """The extras dev and bench install all that the tests and benchmarks import."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = _names(
        [*PROJECT["project"]["dependencies"], *(name for extra in extras for name in extra)]
    )
    undeclared = {
        (file, module)
        for file, module in _imports("tests")
        if not _distributions(module) & declared and module not in MADE_UP
    }
    assert not undeclared


def test_every_declared_distribution_is_used() -> None:
    """No dependency stays after its last import is gone."""
    used = {name for _, module in _imports(*OURS) for name in _distributions(module)}
    assert _names(PROJECT["project"]["dependencies"]) - used == UNIMPORTED


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[=;<>~! ]", requirement)[0]) for requirement in requirements}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(module: str) -> set[str]:
    # A module whose distribution is not installed counts under its own name.
    return {_normal(name) for name in _installed().get(module, [module])}


@cache
def _installed() -> Mapping[str, list[str]]:
    # It reads the records of every distribution: once is enough.
    return packages_distributions()


def _imports(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield (file, first part of the module) of each import that is neither ours nor Python's."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            file = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_bytes())):
                modules = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                for module in modules:
                    first = module.partition(".")[0]
                    if first not in {*sys.stdlib_module_names, *OURS, "tests"}:
                        yield file, first
