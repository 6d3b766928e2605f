"""A shared cache of the servers' jars: fetches each once, and checks it by its checksum."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from app.embedded.jar_lock import Jar, read_lock
from app.embedded.progress import JarProgress
from app.errors import ConfigurationError, UnavailableError, WordCountError
from app.file_lock import lock

__all__ = ["JarCache", "cache_directory", "sha256_of"]

_TRIES = 3

Fetch = Callable[[Jar, Path], Path]
"""Downloads a jar somewhere below a directory and returns its path."""


def cache_directory() -> Path:
    """The cache directory of this user; it may not exist yet."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wordcount-stream"


class JarCache:
    """A directory of checked jars.

    Several processes may use it at once: one fetches, the others wait. A jar appears in the
    cache complete or not at all.
    """

    def __init__(
        self,
        directory: Path | None = None,
        lock: Iterable[Jar] | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self.directory = directory or cache_directory() / "jars"
        self._jars = [jar for jar in (read_lock() if lock is None else lock) if jar.fits]
        self._fetch = fetch or _fetch_from_maven

    def paths(self, *sets: str) -> dict[str, list[Path]]:
        """The checked jars of each set, fetched where they are missing or damaged.

        Raises UnavailableError if a jar can't be fetched, and ConfigurationError if the cache can't
        be written.
        """
        jars = [jar for jar in self._jars if jar.set in sets]
        unique = list({jar.path: jar for jar in jars}.values())
        try:
            if self._unfit(unique):
                self._fill(unique)
        except OSError as error:
            raise self._refusal(error) from None
        return {
            name: [self.directory / jar.path for jar in jars if jar.set == name] for name in sets
        }

    def _unfit(self, jars: list[Jar]) -> list[Jar]:
        def fits(jar: Jar) -> bool:
            return sha256_of(self.directory / jar.path) == jar.sha256

        with ThreadPoolExecutor(8) as pool:
            return [jar for jar, fit in zip(jars, pool.map(fits, jars), strict=True) if not fit]

    def _fill(self, jars: list[Jar]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with lock(self.directory / "lock"):
            staging = self.directory / "staging"
            try:
                # Another process may have fetched them while this one waited for the lock.
                self._fetch_all(self._unfit(jars), staging)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _refusal(self, error: OSError) -> WordCountError:
        if error.errno == errno.ENOSPC:
            return UnavailableError(
                f"{self.directory}: no space left on the disk for the servers' jars "
                "(about 100 MB); make room, or set XDG_CACHE_HOME to a larger disk"
            )
        return ConfigurationError(
            f"{self.directory}: the servers' jars can't be kept there "
            f"({error.strerror or error}); set XDG_CACHE_HOME to a directory you can write"
        )

    def _fetch_all(self, jars: list[Jar], staging: Path) -> None:
        fetch = partial(self._fetch_one, staging=staging)
        with (
            _trusting_the_system(),
            JarProgress(len(jars)) as progress,
            ThreadPoolExecutor(8) as pool,
        ):
            futures = [pool.submit(fetch, jar) for jar in jars]
            try:
                for future in as_completed(futures):
                    progress.advance(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetch_one(self, jar: Jar, staging: Path) -> int:
        """Fetch, check and put in place one jar; its size in bytes."""
        cause = ""
        for _ in range(_TRIES):
            try:
                path = self._fetch(jar, staging)
            except Exception as error:
                # jgo and requests raise many kinds.
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                cause = " ".join(str(error).split()) or type(error).__name__
                continue
            if sha256_of(path) == jar.sha256:
                size = path.stat().st_size
                target = self.directory / jar.path
                target.parent.mkdir(exist_ok=True)
                path.replace(target)
                return size
            cause = "its SHA-256 is not the recorded one"
            path.unlink()
        raise UnavailableError(
            f"{jar.name} could not be fetched in {_TRIES} tries ({cause[:200]}): "
            "check the connection to the Maven repository and start again"
        )


@contextlib.contextmanager
def _trusting_the_system() -> Iterator[None]:
    """Let requests trust the certificates of the system: a proxy may need them."""
    system = ssl.get_default_verify_paths().cafile
    if system is None or "REQUESTS_CA_BUNDLE" in os.environ:
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = system
    try:
        yield
    finally:
        os.environ.pop("REQUESTS_CA_BUNDLE", None)


def _fetch_from_maven(jar: Jar, directory: Path) -> Path:
    from jgo.maven import MavenContext

    project = MavenContext(repo_cache=directory, timeout=60).project(jar.group, jar.artifact)
    artifact = project.at_version(jar.version).artifact(jar.classifier, "jar")
    # An interrupted download leaves its first part; jgo would take it for the whole jar on a retry.
    artifact.cached_path.unlink(missing_ok=True)
    return Path(artifact.resolve())


def sha256_of(path: Path) -> str | None:
    """The SHA-256 of a file in hex; None if the file is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
