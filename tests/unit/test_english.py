"""Docstrings, comments, messages and documents use plain English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.structure import HABITS, comments, docstrings

ROOT = Path(__file__).parents[2]

# A text may quote these in `code`.
BANNED = re.compile(
    r"\b(?:mend(?:s|ed|ing)?|anew|afresh|try(?:ing)? on|tries on|whoever|whom"
    r"|(?:is|are|was|were) told|tells?|told)\b",
    re.IGNORECASE,
)
HEADLESS = HABITS["headless openings"]

CODE = re.compile(r"``.*?``|`[^`]*`", re.DOTALL)
# Files whose text is someone else's, or which name the banned words.
EXEMPT = re.compile(r"app/web/static/uplot/|tests/structure\.py|tests/unit/test_english\.py")
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
    """No text has a banned word, or opens with a word such as What or Where instead of a noun."""
    paths = (ROOT / folder).iterdir() if folder == "." else (ROOT / folder).rglob("*")
    found = {
        name: problems
        for path in sorted(paths)
        if path.suffix in {".py", ".md", ".js", ".html"}
        and not EXEMPT.match(name := path.relative_to(ROOT).as_posix())
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
