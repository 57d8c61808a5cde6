import {checkNumber} from '@tfjs-peft/routers';

/** What all sites of a model multiply the losses of their routers by. */
export class LossScale {
  private factor = 1;

  /** @throws ConfigError if it is no finite number of at least 0. */
  set(factor: number): void {
    this.factor = checkNumber('scaleLosses', 'factor', factor, {min: 0});
  }

  readonly get = (): number => this.factor;
}
