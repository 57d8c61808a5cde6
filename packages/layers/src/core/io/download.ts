import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, PeftError} from '@tfjs-peft/kernels';
import {reasonOf} from './place.js';

/**
 * Fetches a file from the web.
 *
 * @throws ConfigError that gives the address, if there is no such server or file, or it breaks off.
 */
export async function download(address: string): Promise<Uint8Array> {
  try {
    const response = await tf.util.fetch(address);
    if (!response.ok) {
      throw new ConfigError(
        `Cannot read '${address}' (status ${response.status}). Give the URL of the adapter's folder.`,
      );
    }
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw new ConfigError(
      `Cannot read '${address}' (${reasonOf(cause)}). Check the address, and that its server can be reached.`,
      {cause},
    );
  }
}
