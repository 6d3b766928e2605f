"""The unit tests of the page's JavaScript, run by node's own test runner.

Playwright's wheel brings a node, so nothing has to be installed beside the Python packages.
"""

from __future__ import annotations

import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest

NODE = resources.files("playwright") / "driver" / "node"
TESTS = sorted((Path(__file__).parent / "javascript").glob("*.test.js"))

OPTIONS = ("--test", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON")
"""The browser loads the modules as modules; node finds out by itself and warns of it."""


@pytest.mark.parametrize("path", TESTS, ids=[path.name.removesuffix(".test.js") for path in TESTS])
def test_the_module_passes_its_tests(path: Path) -> None:
    """Node runs the file with a fixed time zone and language, since the page uses the reader's."""
    environ = {**os.environ, "TZ": "Europe/Berlin", "LC_ALL": "en_US.UTF-8"}
    command = [str(NODE), *OPTIONS, str(path)]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_module_without_a_screen_has_tests() -> None:
    """The page itself and its charts are tested in a real browser (tests/browser)."""
    static = resources.files("app.web") / "static"
    modules = {entry.name for entry in static.iterdir() if entry.name.endswith(".js")}
    tested = {path.name.replace(".test.js", ".js") for path in TESTS}
    assert modules - tested == {"page.js", "charts.js"}
