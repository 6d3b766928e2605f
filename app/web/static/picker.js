// The window picker: a slider over all windows in the table, above a picture of their words.

import { number, span } from "./format.js";

const id = (name) => document.getElementById(name);

/** `onPick(start)` is called with the start (ms) of the window picked; null: the newest, live. */
export class Picker {
  #windows = []; // [start, words, distinct], oldest first
  #picked = null;
  #settings = { window_ms: null, hop_ms: null };
  #onPick;

  constructor(onPick) {
    this.#onPick = onPick;
    id("slider").addEventListener("input", () => this.#slide(Number(id("slider").value)));
    id("older").addEventListener("click", () => this.#slide(this.#place() - 1));
    id("newer").addEventListener("click", () => this.#slide(this.#place() + 1));
    id("live").addEventListener("click", () => this.pick(null));
    id("go").addEventListener("change", () => this.#go());
    new ResizeObserver(() => this.draw()).observe(id("strip"));
  }

  get picked() {
    return this.#picked;
  }

  configure(settings) {
    this.#settings = settings;
    id("go").step = settings.hop_ms % 60000 ? 1 : 60;
  }

  /** Take in all windows, newest first. */
  show(windows) {
    this.#windows = windows.toReversed();
    this.#refresh();
  }

  /** Take in the newest totals of one window. */
  update(start, words, distinct) {
    const last = this.#windows.at(-1);
    if (last?.[0] !== start || (last[1] === words && last[2] === distinct)) return;
    this.#windows[this.#windows.length - 1] = [start, words, distinct];
    this.#refresh();
  }

  /** Words and distinct words of a window; undefined where they are not known. */
  totals(start) {
    return this.#windows.find((window) => window[0] === start);
  }

  /** Start of the newest window; undefined before there is any. */
  get newest() {
    return this.#windows.at(-1)?.[0];
  }

  pick(start) {
    if (start === this.#picked) return;
    this.#picked = start;
    this.#refresh();
    this.#onPick(start);
  }

  draw() {
    const canvas = id("strip");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !this.#windows.length) return;
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const count = this.#windows.length;
    const most = Math.max(1, ...this.#windows.map(([, words]) => words));
    // The slider's thumb is 16 px wide and stays within: so must the middles of the columns.
    const step = count > 1 ? (width - 16) / (count - 1) : 0;
    const column = Math.max(1, Math.min(12, step * 0.7));
    const here = this.#place();
    this.#windows.forEach(([, words], at) => {
      const tall = words ? Math.max(2, (height - 2) * (words / most)) : 0;
      const middle = 8 + at * step;
      pen.fillStyle = style.getPropertyValue(at === here ? "--accent" : "--strip");
      pen.fillRect(middle - column / 2, height - tall, column, tall);
    });
  }

  #place() {
    const last = this.#windows.length - 1;
    if (this.#picked === null) return last;
    const found = this.#windows.findLastIndex(([start]) => start <= this.#picked);
    return Math.max(0, found);
  }

  #slide(place) {
    const last = this.#windows.length - 1;
    if (place < 0 || last < 0) return;
    this.pick(place >= last ? null : this.#windows[place][0]);
  }

  #go() {
    const ms = new Date(id("go").value).getTime();
    const { window_ms: length, hop_ms: hop } = this.#settings;
    if (Number.isNaN(ms) || !length) return;
    this.pick(Math.floor(ms / hop) * hop);
  }

  #refresh() {
    const { window_ms: length } = this.#settings;
    const place = this.#place();
    id("picker").hidden = !length || !this.#windows.length;
    const slider = id("slider");
    slider.max = this.#windows.length - 1;
    slider.value = place;
    id("older").disabled = place <= 0;
    id("newer").disabled = this.#picked === null;
    id("live").setAttribute("aria-pressed", String(this.#picked === null));
    const window = this.#windows[place];
    if (window) {
      const when = span(window[0], window[0] + length);
      slider.setAttribute("aria-valuetext", `${when}, ${number(window[1])} words`);
    }
    this.draw();
  }
}
