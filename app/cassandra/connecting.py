"""Opens a session with Cassandra by the settings, or explains in one line why there is none."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    OperationTimedOut,
    ProtocolVersion,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)

from app.cassandra.logs import quieten_driver
from app.cassandra.session import REQUEST_TIMEOUT_SECONDS, CassandraSession, in_daemon_thread
from app.errors import ConfigurationError, UnavailableError, WordCountError

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["connect"]

CONNECT_TIMEOUT_SECONDS = 10.0
"""Maximum duration of `connect`."""


async def connect(
    settings: Settings, *, timeout_seconds: float = CONNECT_TIMEOUT_SECONDS
) -> CassandraSession:
    """Open a session by the settings within `timeout_seconds` seconds.

    Raises UnavailableError when no node answers, ConfigurationError when the user, the data centre
    or the certificates do not fit.
    """
    quieten_driver()
    cluster = _cluster(settings, timeout_seconds)
    try:
        driver = await asyncio.wait_for(in_daemon_thread(cluster.connect), timeout_seconds)
    except BaseException as error:
        # Also if the caller is cancelled: the thread that connects continues until the shutdown.
        _shut_down_later(cluster)
        known = _explain(settings, cluster, error, timeout_seconds)
        if known is None:
            raise
        raise known from None
    # The rows carry their own timestamps, and a conditional insert must have none.
    driver.use_client_timestamp = False
    return CassandraSession(cluster, driver)


def _shut_down_later(cluster: Any) -> None:
    threading.Thread(target=cluster.shutdown, name="cassandra-shutdown", daemon=True).start()


def _cluster(settings: Settings, timeout_seconds: float) -> Any:
    points = settings.cassandra
    auth = None
    if settings.cassandra_username is not None:
        auth = PlainTextAuthProvider(settings.cassandra_username, settings.password)
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(
            DCAwareRoundRobinPolicy(settings.cassandra_datacenter or "")
        ),
        # The writer retries by itself: it has the rows, their replicas and the deadline.
        retry_policy=FallthroughRetryPolicy(),
        consistency_level=ConsistencyLevel.name_to_value[settings.output_consistency],
        request_timeout=REQUEST_TIMEOUT_SECONDS,
    )
    try:
        cluster = Cluster(
            [host.strip("[]") for host, _ in points],
            port=points[0][1],
            auth_provider=auth,
            ssl_context=_tls(settings),
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            reconnection_policy=ExponentialReconnectionPolicy(0.5, 15.0, max_attempts=None),
            connect_timeout=max(1.0, timeout_seconds / 2 / len(points)),
            control_connection_timeout=REQUEST_TIMEOUT_SECONDS,
            # The driver sends 4 KiB at a time: without this a longer batch waits 40 ms for the ACK
            # of its first part.
            sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            idle_heartbeat_interval=10,
            idle_heartbeat_timeout=5,
            connection_class=_Connection,
        )
    except UnresolvableContactPoints:
        names = ", ".join(host for host, _ in points)
        raise UnavailableError(
            f"WORDCOUNT_CASSANDRA: no address is known for {names}; check the name"
        ) from None
    # Assign the version instead of passing it: the driver never lowers a version that was passed.
    cluster.protocol_version = ProtocolVersion.V5
    return cluster


class _Connection(Cluster.connection_class):
    """A connection that is garbage-collected once it has failed.

    The driver keeps the exception of the failure. Its traceback holds the frame that read, that
    holds libev's watcher, and the watcher holds the connection. The garbage collector can't
    traverse the watcher: each outage would leak the connection and the rows in flight.
    """

    def defunct(self, exc: BaseException) -> Any:
        """Close the connection because of `exc`."""
        return super().defunct(exc.with_traceback(None))


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """TLS with the CA of the settings. Nodes are found by address, so names are not compared."""
    if settings.cassandra_ca is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.cassandra_ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"WORDCOUNT_CASSANDRA_CA={settings.cassandra_ca}: holds no certificate (PEM): {error}"
        ) from None
    context.check_hostname = False
    if settings.cassandra_cert is not None:
        try:
            context.load_cert_chain(settings.cassandra_cert, settings.cassandra_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"WORDCOUNT_CASSANDRA_CERT={settings.cassandra_cert}: is not a certificate (PEM) "
                f"that matches WORDCOUNT_CASSANDRA_KEY={settings.cassandra_key}: {error}"
            ) from None
    return context


def _explain(
    settings: Settings, cluster: Any, error: BaseException, timeout_seconds: float
) -> WordCountError | None:
    """The error of `connect` in one line; None if `error` is not a failure to connect."""
    # The driver reports one error for each node. A refused user and failed TLS do not pass, so they
    # count more than a node that does not answer: look for them first.
    where = ", ".join(f"{host}:{port}" for host, port in settings.cassandra)
    causes = [error]
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):
        causes += error.errors.values()
    for cause in causes:
        if isinstance(cause, AuthenticationFailed) or "AuthenticationFailed" in repr(cause):
            # The node can't read its tables of users now: the user may be right.
            if "Unable to perform authentication" in str(cause):
                break
            user = settings.cassandra_username
            return ConfigurationError(
                f"Cassandra at {where} refuses the user {user!r}; "
                "check WORDCOUNT_CASSANDRA_USERNAME and WORDCOUNT_CASSANDRA_PASSWORD"
                if user is not None
                else f"Cassandra at {where} requires a user; "
                "set WORDCOUNT_CASSANDRA_USERNAME and WORDCOUNT_CASSANDRA_PASSWORD"
            )
        # The driver wraps the error of the handshake in one that only quotes it.
        if isinstance(cause, ssl.SSLError) or "[SSL" in str(cause):
            return ConfigurationError(
                f"Cassandra at {where}: TLS failed: {_one_line(cause)}; check "
                "WORDCOUNT_CASSANDRA_CA, _CERT and _KEY, and that the node serves TLS on this port"
            )
    unknown = _unknown_datacenter(settings, cluster)
    if unknown is not None and isinstance(error, NoHostAvailable):
        return unknown
    if isinstance(error, TimeoutError):
        return UnavailableError(
            f"Cassandra at {where}: no answer within {timeout_seconds:g} s; {_REMEDY}"
        )
    if isinstance(error, NoHostAvailable | OperationTimedOut | OSError):
        return UnavailableError(
            f"Cassandra at {where} can't be reached: {_one_line(causes[-1])}; {_REMEDY}"
        )
    return None


_REMEDY = "is it running, and is WORDCOUNT_CASSANDRA right?"


def _unknown_datacenter(settings: Settings, cluster: Any) -> ConfigurationError | None:
    wanted = settings.cassandra_datacenter
    known = sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})
    if wanted is None or not known or wanted in known:
        return None
    return ConfigurationError(
        f"WORDCOUNT_CASSANDRA_DATACENTER={wanted}: there is no such data centre; "
        f"there is {', '.join(known)}"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
