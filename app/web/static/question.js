// A question that is asked again and again, since its answer changes; one at a time.

import { ask } from "./stream.js";

const AGAIN_MS = 2000;

export class Question {
  #timer = 0;
  #given = new AbortController();

  /**
   * Ask `path` after `wait` ms, and give up what was asked before. `answered(answer)` and
   * `failed(error)` say whether it is to be asked again. A page that nobody sees asks nothing.
   */
  put(path, query, { answered, failed, wait = 0 }) {
    this.drop();
    const { signal } = (this.#given = new AbortController());
    const turn = async () => {
      const again =
        document.hidden ||
        (await ask(path, query, signal).then(
          (answer) => !signal.aborted && answered(answer),
          (error) => !signal.aborted && failed(error),
        ));
      if (again && !signal.aborted) this.#timer = setTimeout(turn, AGAIN_MS);
    };
    this.#timer = setTimeout(turn, wait);
  }

  /** Ask no more; an answer under way is not told. */
  drop() {
    clearTimeout(this.#timer);
    this.#given.abort();
  }
}
