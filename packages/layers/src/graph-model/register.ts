import {registerOp} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {runIntercepted, SITE_OPS} from './interception.js';
import {runningNode} from './internals.js';
import {runSaved} from './saving/saved-site.js';
import {RECORD} from './saving/site-record.js';

/** Registers our ops with tfjs-converter. Models that were saved with their adapters load only after that. */
export function registerNodes(): void {
  for (const op of SITE_OPS) {
    registerOp(op, (value) => {
      const {inputs, attrs} = value;
      const record = attrs[RECORD] as string | undefined;
      // Custom ops are not tidied by executeAsync.
      return tf.tidy(() =>
        record === undefined
          ? runIntercepted(attrs.site as number, inputs)
          : runSaved(runningNode(value), record, inputs),
      );
    });
  }
}
