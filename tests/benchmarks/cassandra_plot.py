"""Draws the measurements of cassandra_writes.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["draw"]

_COLOURS = ("#a5d8dd", "#4aa3b0", "#0b7285", "#073b45")
_OTHERS = "#adb5bd"


def draw(
    path: Path,
    grid: Mapping[tuple[str, str, str], float],
    same: Mapping[str, Mapping[str, float]],
    title: str,
) -> None:
    """Draw a panel for each grouping key, and below it a panel for each group of `same`.

    `grid` maps (grouping key, bytes, at once) to rows/s: bytes along the axis, a bar for each
    concurrency. `same` maps a set of rows to the ways of writing it, each with its rows/s.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    keys = list(dict.fromkeys(key for key, _, _ in grid))
    figure = plt.figure(figsize=(11, 7.4))
    above, below = figure.subfigures(2, 1, height_ratios=(3, 2))
    all_axes = above.subplots(1, len(keys), sharey=True)
    for axes, key in zip(all_axes, keys, strict=True):
        _draw_key(axes, key, {name[1:]: rate for name, rate in grid.items() if name[0] == key})
    all_axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    all_axes[0].set_ylabel("rows/s")
    all_axes[0].set_ylim(0, max(grid.values()) * 1.15)
    above.suptitle(title, x=0.01, ha="left", fontsize=9, color="#495057")
    above.subplots_adjust(left=0.08, right=0.98, top=0.84, bottom=0.1, wspace=0.08)
    all_axes = below.subplots(1, len(same), sharey=True)
    for axes, (name, rates) in zip(all_axes, same.items(), strict=True):
        _draw_same(axes, name, rates)
    all_axes[0].invert_yaxis()  # the first bar on top, in all panels
    below.subplots_adjust(left=0.24, right=0.98, top=0.86, bottom=0.08, wspace=0.08)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_key(axes: Any, key: str, rates: Mapping[tuple[str, str], float]) -> None:
    sizes = list(dict.fromkeys(size for size, _ in rates))
    at_once = list(dict.fromkeys(number for _, number in rates))
    width = 0.8 / len(at_once)
    for place, number in enumerate(at_once):
        places = [x + (place - (len(at_once) - 1) / 2) * width for x in range(len(sizes))]
        heights = [rates[size, number] for size in sizes]
        axes.bar(places, heights, width, color=_COLOURS[place % 4], label=f"{number} at once")
    axes.set_xticks(range(len(sizes)), sizes)
    axes.set_title(f"grouping key {key}", loc="left", fontsize=10, fontweight="bold")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color="#e9ecef")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_same(axes: Any, name: str, rates: Mapping[str, float]) -> None:
    colours = [_COLOURS[2] if who.startswith("this app") else _OTHERS for who in rates]
    bars = axes.barh(list(rates), list(rates.values()), 0.65, color=colours)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates.values()], padding=4, fontsize=8)
    axes.set_xlim(0, max(rates.values()) * 1.18)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
