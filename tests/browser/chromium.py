"""The browser that the tests drive: found, or installed where that can be done unasked.

`python -m tests.browser.chromium` is what `make test` runs first. It never fails: where there is no
Chromium in the end, the browser tests say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

__all__ = ["ARGUMENTS", "find"]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

PACKAGES = ("chromium", "fonts-inter", "fonts-noto-color-emoji")
"""Debian's; the fonts are for the screenshots."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Nothing but the page is to be asked for anything; the sandbox wants rights that CI has not."""


def find() -> str | None:
    """Path of a Chromium: that of CHROMIUM, or the first on PATH; None: there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> bool:
    """Install Debian's where this is root on a Debian; whether there is a Chromium now."""
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
            "chromium), or name one with CHROMIUM=/path/of/it",
            file=sys.stderr,
        )
