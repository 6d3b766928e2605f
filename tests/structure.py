"""Figures of the code's structure and English: `python -m tests.structure [--root DIR]`.

Only the standard library is used, so that it measures any checkout on any machine.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

OURS = ("app", "agents", "tables")

Graph = dict[str, set[str]]
"""The modules or folders that each module or folder imports."""

HABITS = {
    "headless openings": re.compile(
        r"^(?:What|Who|Whoever|Whose|Where|Wherever|Whatever|That which|Which)\b(?![^.]*\?)"
    ),
    "say, said": re.compile(r"\b(?:say|says|said|saying)\b", re.IGNORECASE),
    "tell, told": re.compile(r"\b(?:tell|tells|told|telling)\b", re.IGNORECASE),
    "go on": re.compile(r"\b(?:go|goes|going|went|gone) on\b", re.IGNORECASE),
    "whoever, whom": re.compile(r"\b(?:whoever|whom)\b", re.IGNORECASE),
}
"""The five habits of speech that make a text a riddle, each counted once a text."""


@dataclass(slots=True)
class Figures:
    """The figures of one checkout."""

    modules: Graph
    folders: Graph
    lines: int = 0
    comment_lines: int = 0
    functions: list[int] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def measure(root: Path) -> Figures:
    """Read every Python file of the application below `root`."""
    paths = {
        _module(path.relative_to(root)): path
        for folder in OURS
        for path in sorted((root / folder).rglob("*.py"))
    }
    figures = Figures({name: set() for name in paths}, {})
    # The entry, app/__init__.py, stands at the top; the other files of app/ are the foundation.
    folders = {
        name: f"{name}/__init__.py" if name in OURS else path.parent.relative_to(root).as_posix()
        for name, path in paths.items()
    }
    figures.folders = {folder: set() for folder in folders.values()}
    for name, path in paths.items():
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        _read_imports(figures.modules, name, tree)
        for target in figures.modules[name]:
            if folders[target] != folders[name]:
                figures.folders[folders[name]].add(folders[target])
        _read_sizes(figures, path.relative_to(root).as_posix(), source, tree)
        figures.texts += [*docstrings(tree), *comments(source)]
    return figures


def comments(source: str) -> list[str]:
    """Join the lines of each comment that stands alone, and take each at a line's end."""
    found: list[str] = []
    following = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.lstrip("#! ").strip()
        alone = token.line.strip().startswith("#")
        if alone and following == token.start[0] and found:
            found[-1] += " " + text
        elif text and not re.match(r"(?:noqa|type:|pragma)", text):
            found.append(text)
        following = token.start[0] + 1 if alone else 0
    return found


def circles(graph: Graph) -> list[set[str]]:
    """Strongly connected sets of two or more: parts that import each other in a circle."""
    reach = {name: _reachable(graph, name) for name in graph}
    found = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return sorted((set(circle) for circle in found if len(circle) > 1), key=sorted)


def floors(graph: Graph) -> int:
    """Length of the longest chain of imports, where a circle is one link."""
    rings = circles(graph)
    ring_of = {name: f"circle {number}" for number, ring in enumerate(rings) for name in ring}
    merged: Graph = defaultdict(set)
    for name, targets in graph.items():
        here = ring_of.get(name, name)
        merged[here] |= {ring_of.get(target, target) for target in targets} - {here}
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = 1 + max((height(target) for target in merged.get(name, ())), default=0)
        return heights[name]

    return max((height(name) for name in list(merged)), default=0)


def report(figures: Figures) -> str:
    """Format the figures, one a line."""
    largest_file = max(figures.files, key=figures.files.__getitem__)
    largest_class = max(figures.classes, key=figures.classes.__getitem__)
    lengths = sorted(figures.functions)
    rows = [
        *_graph_rows("files", figures.modules),
        *_graph_rows("folders", figures.folders),
        ("lines", f"{figures.lines:,}"),
        ("functions", f"{len(lengths):,}, p90 {lengths[len(lengths) * 9 // 10]} lines"),
        ("largest file", f"{largest_file}, {figures.files[largest_file]} lines"),
        ("largest class", f"{largest_class}, {figures.classes[largest_class]} lines"),
        ("lines with a comment", f"{100 * figures.comment_lines / figures.lines:.1f} %"),
        ("docstrings and comments", f"{len(figures.texts):,}"),
    ]
    for habit, pattern in HABITS.items():
        count = sum(bool(pattern.search(text)) for text in figures.texts)
        rows.append((f"{habit}, per 1,000", f"{1000 * count / len(figures.texts):.1f} ({count})"))
    return "\n".join(f"{name:26} {value}" for name, value in rows)


def _graph_rows(name: str, graph: Graph) -> list[tuple[str, str]]:
    rings = circles(graph)
    around = ": " + "; ".join(", ".join(sorted(ring)) for ring in rings) if rings else ""
    return [
        (f"rooms ({name})", f"{len(graph)}"),
        (f"arrows ({name})", f"{sum(map(len, graph.values()))}"),
        (f"circles ({name})", f"{len(rings)}{around}"),
        (f"floors ({name})", f"{floors(graph)}"),
    ]


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read_imports(modules: Graph, name: str, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` is an arrow to the module.
            targets = [
                inner if (inner := f"{node.module}.{alias.name}") in modules else node.module
                for alias in node.names
            ]
        else:
            continue
        modules[name] |= {target for target in targets if target in modules} - {name}


def _read_sizes(figures: Figures, file: str, source: str, tree: ast.Module) -> None:
    figures.files[file] = source.count("\n")
    figures.lines += figures.files[file]
    figures.comment_lines += sum(
        token.type == tokenize.COMMENT
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            figures.functions.append((node.end_lineno or node.lineno) - node.lineno + 1)
        elif isinstance(node, ast.ClassDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            figures.classes[f"{file}:{node.name}"] = length


def docstrings(tree: ast.Module) -> list[str]:
    """Docstrings, and the strings that describe the assignment above them."""
    return [
        node.value.value.strip()
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def _reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph.get(name, ())
    return seen


def main() -> None:
    """Print the figures of a checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    print(report(measure(parser.parse_args().root)))  # noqa: T201 - the figures are its output


if __name__ == "__main__":
    main()
