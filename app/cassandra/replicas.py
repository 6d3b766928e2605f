"""Groups routing keys by their replicas, with the driver's map of the token ring."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from cassandra.metadata import Murmur3Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cassandra.session import CassandraSession

__all__ = ["replica_groups"]


def replica_groups(session: CassandraSession, keyspace: str) -> Callable[[bytes], int] | None:
    """A function from a routing key to the number of its set of replicas.

    Returns None if all rows have the same replicas or the ring is unknown: one group is enough.
    """
    token_map = session.cluster.metadata.token_map
    if token_map is None or token_map.token_class is not Murmur3Token or not token_map.ring:
        return None
    hosts_by_token = token_map.tokens_to_hosts_by_ks.get(keyspace)
    if hosts_by_token is None:
        token_map.rebuild_keyspace(keyspace, build_if_absent=True)
        hosts_by_token = token_map.tokens_to_hosts_by_ks.get(keyspace)
    if not hosts_by_token:
        return None
    # The ring divides all tokens into ranges, and each range has a set of replicas. Number the
    # different sets once. A row then costs a hash of its key and a search among the ranges' ends.
    numbers: dict[frozenset[Any], int] = {}
    groups = [
        numbers.setdefault(frozenset(hosts_by_token[token]), len(numbers))
        for token in token_map.ring
    ]
    if len(numbers) == 1:
        return None
    tokens = [token.value for token in token_map.ring]
    groups.append(groups[0])  # beyond the last token the ring wraps around
    hash_of = Murmur3Token.hash_fn

    def group(routing_key: bytes) -> int:
        # The token of a node is the inclusive end of the range that the node owns.
        return groups[bisect_left(tokens, hash_of(routing_key))]

    return group
