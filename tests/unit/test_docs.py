"""The documentation agrees with the repository: links, paths, quoted messages."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if page.is_file()
)
OPERATIONS = ROOT / "docs" / "operations.md"
CODE = ("app", "agents", "tables")

INVENTED = {
    "app/commands/NAME.py",
    "app/commands/produce/NAME.py",
    # The example of a source of one's own.
    "app/commands/produce/countdown.py",
    "app/sources/countdown.py",
    "tests/unit/sources/test_countdown.py",
}

PLACEHOLDER = re.compile(r"…|\b[A-Z]\b|WORDCOUNT_X|\d+(?= s\b)")
"""A placeholder of a quoted message: an ellipsis, a letter, a time."""


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """The file of a link exists, and so does the heading that its anchor names."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_named_path_exists(page: Path) -> None:
    """A path in backticks that begins with a folder of the repository is there."""
    pattern = r"`((?:app|agents|tables|tests|docker|docs)/[\w./*-]*)`"
    paths = set(re.findall(pattern, _prose(page))) - INVENTED
    assert {path for path in paths if not list(ROOT.glob(path.rstrip("/")))} == set()


@functools.cache
def _texts() -> str:
    """Every text of the code, one a line; a computed part is a zero byte."""
    texts = []
    for file in sorted(file for folder in CODE for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%[sdr]", "\0", node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "\0" for v in node.values]
                texts.append("".join(str(part) for part in parts))
    return "\n".join(text.replace("\n", " ") for text in texts)


def _quoted_messages() -> list[str]:
    """The messages in the first column of the tables of troubleshooting."""
    operations = OPERATIONS.read_text(encoding="utf-8")
    rows = operations[operations.index("## Troubleshooting by message") :].splitlines()
    cells = [row.split(" | ")[0] for row in rows if row.startswith("| `")]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


def test_troubleshooting_quotes_messages() -> None:
    """The tables of troubleshooting are found, so that the next test has work."""
    assert len(_quoted_messages()) > 30


@pytest.mark.parametrize("message", dict.fromkeys(_quoted_messages()))
def test_quoted_message_is_in_the_code(message: str) -> None:
    """Each part of a quoted message between its placeholders is in a text of the code."""
    parts = [part.strip(" :,;=()[]") for part in PLACEHOLDER.split(message)]
    assert [part for part in parts if part not in _texts()] == []
