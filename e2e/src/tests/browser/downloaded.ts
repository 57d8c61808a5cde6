import {readFile} from 'node:fs/promises';
import type * as tf from '@tensorflow/tfjs';
import type {Download, Page} from 'playwright-core';

interface ModelJson extends tf.io.ModelJSON {
  weightsManifest: {paths: string[]; weights: tf.io.WeightsManifestEntry[]}[];
}

/** Collects what a page downloads. */
export class Downloads {
  private readonly files = new Map<string, Promise<Uint8Array>>();
  private waiting: (() => void)[] = [];

  constructor(page: Page) {
    page.on('download', (download) => this.add(download));
  }

  private add(download: Download): void {
    const bytes = download.path().then((path) => readFile(path));
    this.files.set(download.suggestedFilename(), bytes);
    for (const tell of this.waiting.splice(0)) tell();
  }

  private async file(name: string): Promise<Uint8Array> {
    while (!this.files.has(name)) await new Promise<void>((tell) => this.waiting.push(tell));
    return this.files.get(name)!;
  }

  /** A handler that loads what tfjs downloaded under a name: `<name>.json`, and the weights that it lists. */
  handler(name: string): tf.io.IOHandler {
    return {
      load: async () => {
        const json = JSON.parse(new TextDecoder().decode(await this.file(`${name}.json`))) as ModelJson;
        const [{paths, weights}] = json.weightsManifest as [ModelJson['weightsManifest'][0]];
        const bytes = await this.file(paths[0]!.replace('./', ''));
        return {
          modelTopology: json.modelTopology,
          weightSpecs: weights,
          weightData: bytes.slice().buffer as ArrayBuffer,
        };
      },
    };
  }
}
