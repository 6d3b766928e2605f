"""The OpenAPI 3.1 description of the web API, as /api/openapi.json serves it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from app.queries.counts import MAX_WORDS, WORD_BYTES

__all__ = ["document"]

Schema = dict[str, Any]


def document(*, protected: bool) -> Schema:
    """The whole description; `protected`: requests need a token."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Streaming word counts",
            "version": version("wordcount-stream"),
            "description": "Every worker gives the same answers, over all workers.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"cookie": []}] if protected else [],
        "paths": _paths(),
        "components": {
            "schemas": _SCHEMAS,
            "responses": _RESPONSES,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "WORDCOUNT_WEB_TOKEN"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "wordcount",
                    "description": "Set by /?token=TOKEN",
                },
            },
        },
    }


def _object(properties: Schema, text: str = "") -> Schema:
    described = {"description": text} if text else {}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        **described,
    }


def _array(items: Schema, text: str = "") -> Schema:
    return {"type": "array", "items": items, **({"description": text} if text else {})}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_COUNT = {"type": "integer", "minimum": 0}
_MAYBE_COUNT = {"type": ["integer", "null"], "minimum": 0}
_TIME = {"type": "string", "description": "ISO 8601 with Z", "examples": ["2026-11-22T21:40:00Z"]}
_MAYBE_TIME = {**_TIME, "type": ["string", "null"]}
_WORD = {"type": "string", "minLength": 1, "maxLength": WORD_BYTES}
_REASONS = _array({"type": "string"}, "Reasons why it is not; empty if it is")
_SPAN = {"start": _TIME, "end": {**_MAYBE_TIME, "description": "null: the window has no end"}}
_FINAL = {
    "type": "boolean",
    "description": "Whether no more lines will count in the window",
}
_STATE = {
    "type": "string",
    "enum": ["starting", "rebalancing", "recovering", "working", "stopping", "failed"],
}

_SCHEMAS: Schema = {
    "Error": _object({"error": {"type": "string"}}, "The reason why there is no answer"),
    "Window": _object({**_SPAN, "final": _FINAL}),
    "Top": _object(
        {
            "window": {"oneOf": [_named("Window"), {"type": "null"}]},
            "words": _array(_object({"word": _WORD, "count": {"type": "integer", "minimum": 1}})),
        },
        "Words by count, highest first, equal counts by word; window is null before the first line",
    ),
    "Word": _object(
        {"word": _WORD, "windows": _array(_object({**_SPAN, "count": _COUNT}))},
        "A word as it is counted: with WORDCOUNT_WORDS=unicode case-folded",
    ),
    "Windows": _object(
        {
            "windows": _array(
                _object({**_SPAN, "final": _FINAL, "words": _COUNT, "distinct": _COUNT})
            )
        }
    ),
    "Partition": _object(
        {
            "partition": _COUNT,
            "lines_lag": _MAYBE_COUNT,
            "partials_lag": _MAYBE_COUNT,
            "last_checkpoint": _MAYBE_TIME,
            "rows_waiting": _COUNT,
        },
        "Lags are in records; null: the broker does not answer",
    ),
    "Worker": _object(
        {
            "id": {"type": "string"},
            "url": {"type": "string"},
            "state": _STATE,
            "reasons": {**_REASONS, "description": "Reasons why it is not ready; empty if it is"},
            "generation": {"type": "integer", "description": "of the consumer group"},
            "recovery_remaining": {**_COUNT, "description": "records of the changelog to read"},
            "cassandra": {"type": "boolean", "description": "whether a node is up"},
            "kafka": {"type": "boolean", "description": "whether a broker accepts connections"},
            "lines": _COUNT,
            "words": _COUNT,
            "late": _COUNT,
            "rejected": _COUNT,
            "last_flush": _MAYBE_TIME,
            "unflushed_seconds": {"type": "number", "minimum": 0},
            "partitions": _array(_named("Partition")),
        },
        "One worker, with its totals since its start",
    ),
    "Status": _object(
        {
            "id": {"type": "string"},
            "partitions": {"type": "integer", "minimum": 1},
            "workers": _array(_named("Worker")),
            "silent": _array(
                _object({"url": {"type": "string"}, "reason": {"type": "string"}}),
                "Workers that own partitions and do not answer",
            ),
        }
    ),
    "Live": _object({"live": {"type": "boolean"}, "reasons": _REASONS}),
    "Ready": _object({"ready": {"type": "boolean"}, "state": _STATE, "reasons": _REASONS}),
}


def _json(schema: Schema, text: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
_RESPONSES: Schema = {
    "BadRequest": _json(_named("Error"), "The query is wrong"),
    "Unauthorized": _json(_named("Error"), "A token is needed"),
    "Misdirected": _json(_named("Error"), "Without a token only loopback names are served"),
    "Unavailable": {
        **_json(_named("Error"), "No right answer now, as during a rebalance; retry"),
        "headers": _RETRY,
    },
}


def _responses(ok: Schema, *, may_be_bad: bool = False, may_be_away: bool = True) -> Schema:
    responses = {"200": ok}
    for status, name, applies in (
        ("400", "BadRequest", may_be_bad),
        ("401", "Unauthorized", True),
        ("421", "Misdirected", True),
        ("503", "Unavailable", may_be_away),
    ):
        if applies:
            responses[status] = {"$ref": f"#/components/responses/{name}"}
    return responses


def _get(operation: str, text: str, responses: Schema, *parameters: Schema) -> Schema:
    described: Schema = {"operationId": operation, "summary": text, "responses": responses}
    return {"get": {**described, **({"parameters": list(parameters)} if parameters else {})}}


def _health(operation: str, text: str, schema: str) -> Schema:
    yes, no = _json(_named(schema), "Yes"), _json(_named(schema), "No, with the reasons")
    misdirected = {"$ref": "#/components/responses/Misdirected"}
    path = _get(operation, text, {"200": yes, "421": misdirected, "503": no})
    path["get"]["security"] = []
    return path


def _paths() -> Schema:
    n = {
        "name": "n",
        "in": "query",
        "description": "Number of words",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_WORDS, "default": 20},
    }
    window = {
        "name": "window",
        "in": "query",
        "description": "Start of a window, ISO 8601 or ms since the epoch; default: the newest",
        "schema": {
            "anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}],
        },
    }
    word = {"name": "word", "in": "query", "required": True, "schema": _WORD}
    of_word = _responses(_json(_named("Word"), "Newest window first"), may_be_bad=True)
    text = {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
    schema = {"type": "object", "description": "OpenAPI 3.1"}
    return {
        "/api/top": _get(
            "top",
            "The most frequent words of a window",
            _responses(_json(_named("Top"), "The words"), may_be_bad=True),
            n,
            window,
        ),
        "/api/words/{word}": _get(
            "word",
            "How often a word occurs in each window",
            of_word,
            {**word, "in": "path"},
        ),
        "/api/words": _get(
            "wordByQuery", "The same, for words that no path can hold, like ..", of_word, word
        ),
        "/api/windows": _get(
            "windows",
            "The windows in the table, newest first",
            _responses(_json(_named("Windows"), "The windows")),
        ),
        "/api/status": _get(
            "status",
            "All workers: state, lag, last checkpoint and flush",
            _responses(_json(_named("Status"), "The workers"), may_be_away=False),
        ),
        "/api/openapi.json": _get(
            "openapi",
            "This description",
            _responses(_json(schema, "OpenAPI"), may_be_away=False),
        ),
        "/health/live": _health("live", "Whether the worker will continue by itself", "Live"),
        "/health/ready": _health("ready", "Whether the worker does its work", "Ready"),
        "/metrics": _get(
            "metrics", "Metrics in Prometheus' text format", _responses(text, may_be_away=False)
        ),
    }
