"""Names the jars of the peers that run on Java, and their lock file.

`python -m tests.peers.jars` rewrites the lock file after a change of the versions below.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["FLUME", "LOCK"]

LOCK = Path(__file__).with_name("jars.lock")
FLUME = "flume"

ROOTS = (
    (FLUME, ("org.apache.flume", "flume-ng-node", "1.11.0")),
    (FLUME, ("org.slf4j", "slf4j-simple", "1.7.32")),
)

# Flume's node depends on 130 jars (Hadoop, Derby, Tomcat, Netty, …). An agent with a spooling
# directory, a file channel and a Thrift sink loads only these.
NEEDED = {
    "avro",
    "commons-cli",
    "commons-codec",
    "commons-collections",
    "commons-io",
    "commons-lang",
    "commons-lang3",
    "commons-text",
    "flume-file-channel",
    "flume-ng-configuration",
    "flume-ng-core",
    "flume-ng-node",
    "flume-ng-sdk",
    "guava",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
    "libthrift",
    "mapdb",
    "protobuf-java",
    "slf4j-api",
    "slf4j-simple",
    "snappy-java",
}


if __name__ == "__main__":
    from app.embedded.lock import write_lock

    write_lock(LOCK, ROOTS, lambda _, artifact: artifact in NEEDED)
