"""Classifies faults of Cassandra as passing or not, and names them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cassandra import (
    CoordinationFailure,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    Timeout,
    Unavailable,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import (
    ErrorMessage,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    PreparedQueryNotFound,
    ServerError,
    TruncateError,
)

__all__ = ["DRIVER_ERRORS", "describe", "is_about_schema", "is_passing", "kind"]

_PASSING = (
    NoHostAvailable,
    OperationTimedOut,
    Timeout,
    Unavailable,
    CoordinationFailure,
    OverloadedErrorMessage,
    IsBootstrappingErrorMessage,
    ServerError,
    TruncateError,
    PreparedQueryNotFound,
    ConnectionException,
    ConnectionBusy,
    NoConnectionsAvailable,
)

DRIVER_ERRORS = (DriverException, ErrorMessage, *_PASSING)
"""Every exception that the driver raises for a request."""

_CODES = {0x1600: "CDCWriteFailure", 0x1700: "CasWriteUnknown"}
"""Protocol codes of passing faults for which the driver has no class."""


def is_passing(error: BaseException) -> bool:
    """Whether a retry may succeed: nodes are down, slow, starting or overloaded."""
    return isinstance(error, _PASSING) or _code(error) in _CODES


# A missing table has no class of error and no code of its own: the text is the only sign.
_OF_SCHEMA = re.compile(
    r"does not exist|unconfigured table|unknown (keyspace|table|identifier)|undefined",
    re.IGNORECASE,
)


def is_about_schema(error: BaseException) -> bool:
    """Whether a node refuses a write since it does not have the schema, or not yet."""
    return isinstance(error, InvalidRequest) and bool(_OF_SCHEMA.search(str(error)))


def kind(error: BaseException) -> str:
    """The name of the fault in metrics, such as `WriteTimeout` or `NoHostAvailable`."""
    name = type(error).__name__.removesuffix("Message").removesuffix("Error") or "Error"
    return _CODES.get(_code(error), name)


def _code(error: BaseException) -> int:
    return error.code if isinstance(error, ErrorMessage) else 0


def describe(error: BaseException) -> str:
    """The fault in one short line."""
    # The driver's texts have several lines, or quote a whole response. The log needs the cause: of
    # at most three nodes, or the server's own message.
    text = str(error)
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, Mapping):
        causes = [f"{host}: {cause}" for host, cause in list(error.errors.items())[:3]]
        text = "; ".join(causes) or "no node is up"
    elif isinstance(error, OperationTimedOut):
        text = "no answer in time"
    message = re.search(r'message="(.*?)"$', text)
    text = " ".join((message[1] if message else text).split())
    return text[:300] or kind(error)
