/** Weights that stand in the place of others. */
export interface Exchanged {
  /** Puts the weights of before back, bit for bit. */
  restore(): void;
  /** Lets them go: the exchange is for good. */
  release(): void;
}

/** Several as one. */
export function together(exchanged: readonly Exchanged[]): Exchanged {
  return {
    restore() {
      for (const each of exchanged) each.restore();
    },
    release() {
      for (const each of exchanged) each.release();
    },
  };
}

/** An adapter that is worked into the frozen weights of its model, which runs none meanwhile. */
export interface MergedAdapter {
  name: string;
  exchanged: Exchanged;
}
