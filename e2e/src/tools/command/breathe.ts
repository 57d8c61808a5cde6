/** Lets signals, timers and messages in: an awaited tensor of the wasm backend is only a microtask. */
export const breathe = () => new Promise<void>((resolve) => setImmediate(resolve));
