// Line and column charts, drawn by uPlot in the page's colours.

import { mark, tick } from "./format.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = '12px Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const charts = new Set();

/** Redraw all charts, after the theme has changed. */
export function redraw() {
  for (const chart of charts) chart.redraw(false);
}

function axes() {
  const common = {
    font: FONT,
    stroke: () => colour("--muted"),
    ticks: { show: false },
    grid: { stroke: () => colour("--line"), width: 1 },
  };
  return [
    {
      ...common,
      grid: { show: false },
      size: 24,
      gap: 4,
      space: 70,
      values: (_, marks) => marks.map((seconds) => mark(seconds * 1000)),
    },
    {
      ...common,
      size: 44,
      gap: 6,
      space: 34,
      values: (_, marks) => marks.map(tick),
    },
  ];
}

function make(host, options, height) {
  const plot = new uPlot(
    {
      width: Math.max(120, host.clientWidth),
      height,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      ...options,
    },
    [[], []],
    host,
  );
  charts.add(plot);
  // Screen readers get the host's label and the table beside the chart instead.
  plot.root.setAttribute("aria-hidden", "true");
  new ResizeObserver(() => {
    if (host.clientWidth) plot.setSize({ width: host.clientWidth, height });
  }).observe(host);
  return plot;
}

const fromZero = (_, __, most) => [0, Math.max(1, most * 1.1)];

/** A line over time; `onPoint(seconds, value)` gets the point at the pointer, or nulls. */
export function lineChart(host, group, onPoint) {
  return make(
    host,
    {
      cursor: { y: false, sync: { key: group }, drag: { x: false, y: false } },
      scales: { y: { range: fromZero } },
      axes: axes(),
      series: [
        {},
        {
          stroke: () => colour("--accent"),
          fill: () => colour("--accent-soft"),
          width: 2,
          points: { show: false },
        },
      ],
      hooks: {
        setCursor: [
          (plot) => {
            const at = plot.cursor.idx;
            onPoint(plot.data[0][at] ?? null, plot.data[1][at] ?? null);
          },
        ],
      },
    },
    112,
  );
}

/** Columns over time, one every `hop` seconds. */
export function columnChart(host, hop) {
  return make(
    host,
    {
      cursor: { show: false },
      scales: {
        x: { range: (_, from, to) => [from - hop / 2, to + hop / 2] },
        y: { range: fromZero },
      },
      axes: axes(),
      series: [
        {},
        {
          stroke: () => colour("--accent"),
          fill: () => colour("--accent"),
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.7, 28, 1], radius: 0.15 }),
        },
      ],
    },
    150,
  );
}
