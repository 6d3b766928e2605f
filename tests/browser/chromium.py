"""Finds the Chromium that the tests drive, or installs it where no question is needed.

`make test` runs `python -m tests.browser.chromium` first. It never fails: without a Chromium the
browser tests are skipped with the reason, or fail if BROWSER_TESTS=required.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

__all__ = ["ARGUMENTS", "find"]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

PACKAGES = ("chromium", "fonts-inter", "fonts-noto-color-emoji")
"""Debian packages; the fonts are for the screenshots."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""The browser must contact only the page; its sandbox needs rights that CI lacks."""


def find() -> str | None:
    """Path of a Chromium: that of CHROMIUM, or the first on PATH; None if there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> bool:
    """Install Debian's Chromium as root on a Debian; returns whether there is a Chromium now."""
    if find() is not None:
        return True
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    print("Installing Chromium for the browser tests (apt-get)", flush=True)  # noqa: T201
    for command in (("update", "-qq"), ("install", "-qq", "-y", "--no-install-recommends")):
        subprocess.run(
            ["apt-get", *command, *(PACKAGES if "install" in command else ())],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
            stdout=subprocess.DEVNULL,
        )
    return find() is not None


if __name__ == "__main__":
    if not install():
        print(  # noqa: T201
            "No Chromium: the browser tests will be skipped. Install one (apt-get install "
            "chromium), or set CHROMIUM=/path/of/it",
            file=sys.stderr,
        )
