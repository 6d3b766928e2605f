"""Rows by the nodes that hold them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from cassandra.connection import DefaultEndPoint
from cassandra.metadata import KeyspaceMetadata, Metadata, Murmur3Token
from cassandra.policies import SimpleConvictionPolicy
from cassandra.pool import Host
from hypothesis import given
from hypothesis import strategies as st

from app.cassandra.replicas import replica_groups
from app.cassandra.session import CassandraSession


def session_of(nodes: int, tokens: int, copies: int) -> CassandraSession:
    """A session with a ring: the nodes have `tokens` tokens each, in turn and evenly spread."""
    metadata = Metadata()
    hosts = [Host(DefaultEndPoint(f"10.0.0.{n}"), SimpleConvictionPolicy) for n in range(nodes)]
    step = 2**64 // (nodes * tokens)
    owners: dict[Any, list[str]] = {}
    for host in hosts:
        host.set_location_info("dc1", "r1")
        metadata.add_or_return_host(host)
    for place in range(nodes * tokens):
        owners.setdefault(hosts[place % nodes], []).append(str(-(2**63) + place * step))
    metadata.keyspaces["k"] = KeyspaceMetadata(
        "k", True, "SimpleStrategy", {"replication_factor": str(copies)}
    )
    metadata.rebuild_token_map("org.apache.cassandra.dht.Murmur3Partitioner", owners)
    cluster = SimpleNamespace(metadata=metadata)
    return CassandraSession(cluster, cast("Any", None))


SEVEN_NODES = session_of(nodes=7, tokens=4, copies=3)


@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_rows_share_a_group_exactly_when_they_share_their_replicas(
    key: bytes, other: bytes
) -> None:
    """The groups agree with the driver's own map of replicas."""
    group = replica_groups(SEVEN_NODES, "k")
    assert group is not None
    token_map = SEVEN_NODES.cluster.metadata.token_map

    def replicas(of: bytes) -> set[Any]:
        return set(token_map.get_replicas("k", Murmur3Token.from_key(of)))

    assert (group(key) == group(other)) == (replicas(key) == replicas(other))


def test_one_set_of_replicas_is_one_group() -> None:
    """No token is computed if every node holds all rows."""
    assert replica_groups(session_of(nodes=3, tokens=4, copies=3), "k") is None
    assert replica_groups(session_of(nodes=1, tokens=1, copies=1), "k") is None


def test_an_unknown_ring_is_one_group() -> None:
    """Rows are written even if the driver does not know the ring or the keyspace yet."""
    nothing = CassandraSession(SimpleNamespace(metadata=Metadata()), cast("Any", None))
    assert replica_groups(nothing, "k") is None
    assert replica_groups(SEVEN_NODES, "other") is None
