/** Thrown where work stops because the user asked for it. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/** A request to stop, honoured between two pieces of work, where all state is whole. */
export class Interrupt {
  private requested = false;

  request(): void {
    this.requested = true;
  }

  /** @throws Interrupted once stopping was requested. */
  check(): void {
    if (this.requested) throw new Interrupted('interrupted');
  }
}
