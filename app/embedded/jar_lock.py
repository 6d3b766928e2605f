"""The lock file of the servers' jars: one line a jar, with the SHA-256 of its file."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CASSANDRA", "KAFKA", "LOCK", "Jar", "read_lock"]

KAFKA = "kafka_2.13"
CASSANDRA = "cassandra-all"
"""Names of the sets of jars in the lock file."""

LOCK = Path(__file__).with_name("jars.lock")

_SYSTEMS = {"linux": "linux", "darwin": "osx"}
_CLASSIFIER_SYSTEMS = ("linux", "osx", "windows")
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch_64", "arm64": "aarch_64"}


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock file: coordinates and the SHA-256 of the file."""

    set: str
    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"

    @property
    def path(self) -> Path:
        """The path of the jar in the cache, which has a directory for each jar.

        The manifest of a jar may name other jars beside it, and Java would load those: of another
        version, if another set has it.
        """
        return Path(self.sha256[:16], self.name)

    @property
    def fits(self) -> bool:
        """Whether this system can use it: native code comes in one jar for each system."""
        system, _, machine = self.classifier.partition("-")
        if system not in _CLASSIFIER_SYSTEMS:
            return True
        here = platform.machine().lower()
        return system == _SYSTEMS.get(sys.platform) and machine == _MACHINES.get(here, here)


def read_lock(path: Path = LOCK) -> list[Jar]:
    """The jars of a lock file, those of other systems too."""
    # The classifier is empty for most: split on single spaces, or the columns would shift.
    return [Jar(*line.split(" ")) for line in path.read_text(encoding="ascii").splitlines()]
