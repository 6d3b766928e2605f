"""Small file systems in memory, to be filled; only root on Linux may mount them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["can_mount", "mount", "unmount"]

SIZE = "64m"


def can_mount() -> bool:
    """Whether this process may mount one."""
    if shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            mount(Path(folder))
        except subprocess.CalledProcessError:
            return False
        unmount(Path(folder))
    return True


def mount(folder: Path) -> None:
    """Mount one at `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def unmount(folder: Path) -> None:
    """Unmount it, also while something in it is open."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
