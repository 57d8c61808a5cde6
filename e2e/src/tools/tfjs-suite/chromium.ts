import {openChromium} from '@tfjs-peft/testing/chromium';
import type {Outcome} from './outcome.js';

/**
 * Runs a bundle of specs in a page of headless Chromium.
 *
 * @throws Error if there is no Chromium, or if the page breaks before the specs are through.
 */
export async function runInChromium(script: string): Promise<Outcome> {
  const {page, close} = await openChromium({script});
  try {
    return await page.evaluate(async () => {
      const {outcome} = globalThis as unknown as {outcome?: Promise<Outcome>};
      if (outcome === undefined) throw new Error('the bundle of specs did not load');
      return outcome;
    });
  } finally {
    await close();
  }
}
