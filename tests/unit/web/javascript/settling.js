// Waiting for promises while the clock of setTimeout is mocked.

const DEADLINE_MS = 20000;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Let the event loop turn until the condition holds; throws after 20 seconds of real time. */
export async function until(condition) {
  const deadline = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${condition}`);
    await turn();
  }
}

/** Let the event loop turn a few times: what must not happen would have happened by then. */
export async function settle() {
  for (let turns = 0; turns < 50; turns++) await turn();
}
