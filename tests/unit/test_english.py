"""Docstrings, comments, messages and documents use plain English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.structure import comments, docstrings

ROOT = Path(__file__).parents[2]

# A text may quote these in `code`.
BANNED = re.compile(
    r"\b(?:mend(?:s|ed|ing)?|anew|afresh|try(?:ing)? on|tries on|whoever|whom"
    r"|(?:is|are|was|were) told|tells?|told)\b",
    re.IGNORECASE,
)
HEADLESS = re.compile(r"(?:What|Who|Whoever|Where|Wherever) (?![^.]*\?)")
"""An opening without a noun, unless the sentence is a question."""

CODE = re.compile(r"``.*?``|`[^`]*`", re.DOTALL)
# Files whose text is someone else's, or which name the banned words.
EXEMPT = re.compile(r"app/web/static/uplot/|tests/structure\.py|tests/unit/test_english\.py")
WAITING = {
    "app/commands/produce/flume.py",
    "app/commands/produce/kafka.py",
    "app/queries/completeness.py",
    "app/sources/actor/actor.py",
    "app/sources/actor/client.py",
    "app/sources/actor/server.py",
    "app/sources/actor/shell.py",
    "app/sources/actor/source.py",
    "app/sources/bluesky.py",
    "app/sources/flume/source.py",
    "app/sources/flume/thrift.py",
    "app/sources/kafka.py",
    "app/sources/tcp/connection.py",
    "app/sources/tcp/server.py",
    "app/sources/x/rules.py",
    "app/sources/x/source.py",
    "app/sources/zeromq.py",
    "docs/cassandra.md",
    "docs/sources.md",
    "tables/store.py",
    "tests/faults/plan.py",
    "tests/faults/text.py",
    "tests/integration/test_bad_starts.py",
    "tests/integration/test_cassandra_outages.py",
    "tests/integration/test_cassandra_schema.py",
    "tests/integration/test_cassandra_writer.py",
    "tests/integration/test_committed_offsets.py",
    "tests/integration/test_gone_records.py",
    "tests/integration/test_servers.py",
    "tests/integration/test_source_bluesky.py",
    "tests/integration/test_source_flume.py",
    "tests/integration/test_source_kafka.py",
    "tests/integration/test_source_x.py",
    "tests/integration/test_sources_peers.py",
    "tests/peers/__init__.py",
    "tests/peers/feeds.py",
    "tests/peers/jars.py",
    "tests/peers/peer.py",
    "tests/peers/x_server.py",
    "tests/pekko/__init__.py",
    "tests/pekko/__main__.py",
    "tests/unit/cassandra/test_batching.py",
    "tests/unit/cassandra/test_columns.py",
    "tests/unit/cassandra/test_logs.py",
    "tests/unit/cassandra/test_nodes.py",
    "tests/unit/cassandra/test_replicas.py",
    "tests/unit/cassandra/test_writer.py",
    "tests/unit/commands/test_status.py",
    "tests/unit/counting/test_text.py",
    "tests/unit/counting/test_windows.py",
    "tests/unit/embedded/test_directory.py",
    "tests/unit/embedded/test_jars.py",
    "tests/unit/embedded/test_java.py",
    "tests/unit/embedded/test_ports.py",
    "tests/unit/embedded/test_process.py",
    "tests/unit/embedded/test_servers.py",
    "tests/unit/sources/actor/test_actor.py",
    "tests/unit/sources/flume/test_source.py",
    "tests/unit/sources/tcp/test_client.py",
    "tests/unit/sources/test_bluesky.py",
    "tests/unit/sources/test_kafka.py",
    "tests/unit/sources/test_stdin.py",
    "tests/unit/sources/x/test_source.py",
    "tests/unit/test_docker.py",
    "tests/unit/test_settings.py",
}
"""Files that still have such texts: the set may only shrink."""

# A string of code is a sentence if it has three words with single spaces between them.
SENTENCE = re.compile(r"[A-Za-z,'-]+ [a-z,'-]+ [a-z,'-]+")


def faults(path: Path) -> list[str]:
    """List each banned word and headless opening of a file, with its text."""
    source = path.read_text(encoding="utf-8")
    openings: list[str] = []
    texts: list[str]
    if path.suffix == ".py":
        tree = ast.parse(source)
        openings = [*docstrings(tree), *comments(source)]
        texts = openings + ([] if "tests" in path.parts else _messages(tree))
    elif path.suffix == ".js":
        openings = [match.strip("/* ") for match in re.findall(r"(?m)^\s*//.*", source)]
        texts = [source]
    else:
        texts = [source]
    found = [
        f"{word}: {_around(text, word)}"
        for text in texts
        for word in BANNED.findall(CODE.sub("", text))
    ]
    return found + [f"headless: {text[:80]}" for text in openings if HEADLESS.match(text)]


@pytest.mark.parametrize("folder", ["app", "agents", "tables", "tests", "docs", "."])
def test_texts_are_plain(folder: str) -> None:
    """No text has a banned word, or opens with What, Who or Where instead of a noun."""
    paths = (ROOT / folder).iterdir() if folder == "." else (ROOT / folder).rglob("*")
    found = {
        name: problems
        for path in sorted(paths)
        if path.suffix in {".py", ".md", ".js", ".html"}
        and not EXEMPT.match(name := path.relative_to(ROOT).as_posix())
        and name not in WAITING
        and (problems := faults(path))
    }
    assert not found


def _messages(tree: ast.Module) -> list[str]:
    """Strings of code that look like sentences; the parts of one with values are joined."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        else:
            continue
        if SENTENCE.search(text):
            found.append(text)
    return found


def _around(text: str, word: str) -> str:
    at = text.find(word)
    return " ".join(text[max(0, at - 40) : at + 40].split())
