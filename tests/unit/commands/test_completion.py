"""Shells complete this application's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.commands.completion import script


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("faust -A app st", {"status"}),
        ("faust -A app produce st", {"stdin"}),
        ("faust -A app top --w", {"--window"}),
    ],
)
def test_bash_completes_commands_and_options(words: str, completed: set[str]) -> None:
    """The script, evaluated by a real bash, finds what Faust alone does not know."""
    asking = (
        f"{script('bash')}\nCOMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}\n"
        "_faust_completion faust 2>/dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", asking],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PATH": path},
    )
    assert set(done.stdout.split()) == completed, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_names_the_application(shell: str) -> None:
    """Once, where it asks."""
    assert script(shell).count("faust -A app 2>/dev/null") == 1
