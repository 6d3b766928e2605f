"""Reports the runs: a table in the terminal, bench.json, bench.md and bench.png."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING, Any

import psutil
from rich.table import Table

from tests.benchmarks.measure import COUNTED, SAVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from tests.benchmarks.measure import Run
    from tests.benchmarks.stages import Rate

__all__ = ["label", "machine", "ratios", "show", "show_rates", "write"]

_COLUMNS = (
    "system",
    "lines",
    "lines/s",
    "CPU s per M lines",
    "peak MiB",
    "Kafka CPU s per M",
    "Cassandra CPU s per M",
    "counts",
)


def label(run: Run) -> str:
    """Return the system's name, with the number of workers where that varies."""
    if run.system != "this app":
        return run.system
    return f"{run.system}, {run.workers} worker{'s' if run.workers > 1 else ''}"


def ratios(runs: Sequence[Run]) -> dict[str, float]:
    """Return this app's lines/s divided by each other system's, by mode and workers."""
    found = {}
    for ours in (run for run in runs if run.system == "this app"):
        for other in runs:
            if other.system != "this app" and other.mode == ours.mode:
                name = f"{label(ours)} / {label(other)}, {ours.mode}"
                found[name] = round(ours.lines_per_s / other.lines_per_s, 2)
    return found


def machine() -> dict[str, Any]:
    """Describe the machine of the measurement."""
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def show(console: Console, runs: Sequence[Run]) -> None:
    """Print one table for each mode, and the ratios."""
    for mode in (COUNTED, SAVED):
        rows = [_row(run) for run in runs if run.mode == mode]
        if rows:
            _print(console, mode, _COLUMNS, rows)
    for name, ratio in ratios(runs).items():
        console.print(f"{ratio:>8,.1f} times: {name}", highlight=False)


def show_rates(console: Console, rates: Sequence[Rate]) -> None:
    """Print the rates of the stages."""
    rows = [(rate.name, f"{rate.per_s:,.0f}", rate.unit) for rate in rates]
    _print(console, "stages, each alone in one process", ("stage", "rate", "unit"), rows)


def write(
    folder: Path, runs: Sequence[Run], rates: Sequence[Rate], setup: Mapping[str, Any]
) -> None:
    """Write bench.json, bench.md and, if there are runs, bench.png."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine(),
        "setup": dict(setup),
        "runs": [run.as_json() for run in runs],
        "ratios": ratios(runs),
        "stages": [rate._asdict() for rate in rates],
    }
    (folder / "bench.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(_markdown(runs, rates, setup), encoding="utf-8")
    if runs:
        _draw(folder / "bench.png", runs, setup)


def _row(run: Run) -> tuple[str, ...]:
    def per_million(seconds: float) -> str:
        return f"{seconds / run.lines * 1e6:,.1f}"

    return (
        label(run),
        f"{run.lines:,}",
        f"{run.lines_per_s:,.0f}",
        per_million(run.cpu_s),
        f"{run.peak_mib:,.0f}",
        per_million(run.broker_cpu_s),
        per_million(run.cassandra_cpu_s) if run.mode == SAVED else "",
        "exact" if run.exact else "WRONG",
    )


def _print(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _markdown(runs: Sequence[Run], rates: Sequence[Rate], setup: Mapping[str, Any]) -> str:
    on = machine()
    parts = [
        f"{on['cpus']} CPUs, {on['memory_gib']} GiB, {on['system']}, Python {on['python']}; "
        + ", ".join(f"{name} {value}" for name, value in setup.items())
        + ".\n"
    ]
    for mode in (COUNTED, SAVED):
        rows = [_row(run) for run in runs if run.mode == mode]
        if rows:
            parts.append(f"**{mode}**\n\n{_markdown_table(_COLUMNS, rows)}")
    if runs:
        rows = [(name, f"{ratio:,.1f}") for name, ratio in ratios(runs).items()]
        parts.append(_markdown_table(("lines/s of", "times"), rows))
    if rates:
        rows = [(rate.name, f"{rate.per_s:,.0f}", rate.unit) for rate in rates]
        parts.append(_markdown_table(("stage, alone in one process", "rate", "unit"), rows))
    return "\n".join(parts)


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = ["---", *["---:"] * (len(columns) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, marks, *rows)]
    return "\n".join(lines) + "\n"


def _draw(path: Path, runs: Sequence[Run], setup: Mapping[str, Any]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    modes = [mode for mode in (COUNTED, SAVED) if any(run.mode == mode for run in runs)]
    most = max(sum(run.mode == mode for run in runs) for mode in modes)
    figure, all_axes = plt.subplots(
        len(modes), 1, figsize=(8, 0.8 + len(modes) * (0.9 + 0.36 * most)), squeeze=False
    )
    right = max(run.lines_per_s for run in runs) * 1.25
    for axes, mode in zip(all_axes[:, 0], modes, strict=True):
        own = sorted((run for run in runs if run.mode == mode), key=lambda run: run.lines_per_s)
        colours = ["#0b7285" if run.system == "this app" else "#adb5bd" for run in own]
        bars = axes.barh([label(run) for run in own], [run.lines_per_s for run in own])
        for bar, colour in zip(bars, colours, strict=True):
            bar.set_color(colour)
        axes.bar_label(bars, [f"{run.lines_per_s:,.0f}" for run in own], padding=4)
        axes.set_title(mode, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlim(0, right)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    all_axes[-1, 0].set_xlabel(
        f"lines/s, 10 words each; {machine()['cpus']} CPUs with the servers on them, "
        f"{setup['partitions']} partitions"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
