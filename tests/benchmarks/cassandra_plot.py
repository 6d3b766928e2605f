"""Draws what cassandra_writes.py has measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["draw"]

_COLOURS = ("#a5d8dd", "#4aa3b0", "#0b7285", "#073b45")
_OTHERS = "#adb5bd"


def draw(
    path: Path,
    grid: Mapping[tuple[str, str, str], float],
    others: Sequence[tuple[str, float]],
    title: str,
) -> None:
    """A panel for each grouping key: bytes along the axis, a bar for each concurrency.

    `grid` maps (grouping key, bytes, at once) to rows/s, `others` names what it is compared with.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    keys = list(dict.fromkeys(key for key, _, _ in grid))
    sizes = list(dict.fromkeys(size for _, size, _ in grid))
    at_once = list(dict.fromkeys(number for _, _, number in grid))
    figure, all_axes = plt.subplots(1, len(keys) + 1, figsize=(13, 4.6), sharey=True)
    top = max([*grid.values(), *(rate for _, rate in others)]) * 1.12
    width = 0.8 / len(at_once)
    for axes, key in zip(all_axes, keys, strict=False):
        for place, number in enumerate(at_once):
            rates = [grid[key, size, number] for size in sizes]
            places = [x + (place - (len(at_once) - 1) / 2) * width for x in range(len(sizes))]
            axes.bar(places, rates, width, color=_COLOURS[place % 4], label=f"{number} at once")
        axes.set_xticks(range(len(sizes)), sizes)
        axes.set_title(f"batches by {key}", loc="left", fontsize=10, fontweight="bold")
    all_axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    last = all_axes[-1]
    bars = last.bar(range(len(others)), [rate for _, rate in others], 0.6, color=_OTHERS)
    bars[0].set_color(_COLOURS[2])
    last.bar_label(bars, [f"{rate:,.0f}" for _, rate in others], padding=3, fontsize=8)
    last.set_xticks(
        range(len(others)), [name.replace(", ", "\n") for name, _ in others], fontsize=7
    )
    last.set_title("the same rows", loc="left", fontsize=10, fontweight="bold")
    for axes in all_axes:
        axes.set_ylim(0, top)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y", color="#e9ecef", zorder=0)
        axes.set_axisbelow(True)
    all_axes[0].set_ylabel("rows/s")
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, color="#495057")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
