// A question to the worker that is repeated, since its answer changes; one at a time.

import { ask } from "./stream.js";

const REPEAT_MS = 2000;

export class Question {
  #timer = 0;
  #controller = new AbortController();

  /**
   * Ask `path` after `wait` ms, and cancel the question before it. `answered(answer)` and
   * `failed(error)` return whether to repeat the question. A hidden page sends no request.
   */
  put(path, query, { answered, failed, wait = 0 }) {
    this.drop();
    const { signal } = (this.#controller = new AbortController());
    const turn = async () => {
      const repeat =
        document.hidden ||
        (await ask(path, query, signal).then(
          (answer) => !signal.aborted && answered(answer),
          (error) => !signal.aborted && failed(error),
        ));
      if (repeat && !signal.aborted) this.#timer = setTimeout(turn, REPEAT_MS);
    };
    this.#timer = setTimeout(turn, wait);
  }

  /** Stop asking; an answer in flight is ignored. */
  drop() {
    clearTimeout(this.#timer);
    this.#controller.abort();
  }
}
