import type {Interrupt} from '../../tools/command/interrupt.js';
import type {Progress} from '../common/progress.js';

/**
 * Shows work that is done, in pictures that went through the whole model, and
 * stops it if the user asks for it.
 */
export class Work {
  constructor(
    private readonly progress: Progress,
    private readonly interrupt: Interrupt,
    private readonly what: string,
  ) {}

  /** @throws Interrupted if the user asked to stop. */
  async did(pictures: number, note: string): Promise<void> {
    this.progress.advance(pictures, `${this.what}: ${note}`);
    await this.interrupt.hear();
  }

  note(text: string): void {
    this.progress.note(`${this.what}: ${text}`);
  }
}
