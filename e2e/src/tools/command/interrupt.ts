/**
 * Signals by which a user or a system ends a program, with the exit code that says
 * so: 128 and the signal's number.
 */
const EXIT_CODES = {SIGHUP: 129, SIGINT: 130, SIGTERM: 143} as const;
type Signal = keyof typeof EXIT_CODES;

/** Thrown where work stops because the user asked for it. */
export class Interrupted extends Error {
  override name = 'Interrupted';

  constructor(
    readonly exitCode: number,
    message: string,
  ) {
    super(message);
  }
}

/** A request to stop, honoured between two pieces of work, where all state is whole. */
export class Interrupt {
  private signal: Signal | undefined;
  /** What the user is told to do next; set once there is something to go on with. */
  advice = '';

  /**
   * Takes the signals from now on. A second one is for somebody who cannot wait for the piece of work to end.
   *
   * To be called before libraries are loaded: until then a signal just kills.
   */
  static listen(): Interrupt {
    const interrupt = new Interrupt();
    for (const signal of Object.keys(EXIT_CODES) as Signal[]) {
      process.on(signal, () => {
        if (interrupt.signal !== undefined) process.exit(EXIT_CODES[signal]);
        interrupt.request(signal);
      });
    }
    return interrupt;
  }

  request(signal: Signal = 'SIGINT'): void {
    this.signal = signal;
  }

  /** @throws Interrupted once stopping was requested. */
  check(): void {
    if (this.signal !== undefined)
      throw new Interrupted(EXIT_CODES[this.signal], `interrupted${this.advice}`);
  }

  /** Lets signals in, then {@link check}s: code that never waits would not hear of them. */
  async hear(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.check();
  }
}
