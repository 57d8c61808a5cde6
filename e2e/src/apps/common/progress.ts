/** Where progress is shown; a terminal gets a bar that is redrawn, anything else a line now and then. */
export interface ProgressStream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

const BAR = 24;
const REDRAW_MS = 100;
/** Without a terminal: a line each tenth of the work. */
const LINES = 10;

export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** One piece of work with a known amount, shown live: what, how far, a note, and the time left. */
export class Progress {
  private readonly began = performance.now();
  private done = 0;
  private drawn = 0;
  private printed = 0;

  constructor(
    private readonly what: string,
    private readonly total: number,
    private readonly stream: ProgressStream,
    private readonly quiet: boolean,
  ) {}

  /** Counts work done; `note` is shown beside the bar. */
  advance(amount: number, note = ''): void {
    this.done += amount;
    if (this.quiet) return;
    const seconds = (performance.now() - this.began) / 1000;
    const share = Math.min(1, this.done / this.total);
    const left = clock((seconds / Math.max(share, 1e-9)) * (1 - share));
    const text = `${this.what} ${Math.round(this.done)}/${this.total}${note === '' ? '' : `  ${note}`}  ${left} left`;
    if (this.stream.isTTY === true) {
      const now = performance.now();
      if (now - this.drawn < REDRAW_MS && share < 1) return;
      this.drawn = now;
      const full = Math.round(share * BAR);
      const line = `[${'='.repeat(full)}${' '.repeat(BAR - full)}] ${text}`;
      this.stream.write(`\r\u001b[2K${line.slice(0, (this.stream.columns ?? 80) - 1)}`);
    } else if (Math.floor(share * LINES) > this.printed) {
      this.printed = Math.floor(share * LINES);
      this.stream.write(`${text}\n`);
    }
  }

  /** A line of its own, above the bar. */
  note(text: string): void {
    if (this.quiet) return;
    this.stream.write(this.stream.isTTY === true ? `\r\u001b[2K${text}\n` : `${text}\n`);
  }

  /** Ends the line of a bar. */
  end(): void {
    if (!this.quiet && this.stream.isTTY === true && this.drawn > 0) this.stream.write('\n');
  }
}
