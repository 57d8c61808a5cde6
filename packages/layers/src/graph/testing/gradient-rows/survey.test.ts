import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {GRADIENT_ROWS} from './index.js';
import {RowModel} from './measure.js';
import {appendFileSync, writeFileSync} from 'node:fs';

for (const k of ['warn', 'error', 'log'] as const) console[k] = () => {};
test('survey', async () => {
  const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./;
  const lines: string[] = [];
  const rows = GRADIENT_ROWS.filter((r) => only.test(r.op + ' ' + r.attributes));
  const results = rows.map(() => [] as string[]);
  const pass = async (label: string) => {
    for (const backend of (process.env.BACKENDS ?? 'cpu,wasm').split(',')) {
      if (backend === 'wasm') { const f = tf.findBackendFactory('wasm'); tf.removeBackend('wasm'); tf.registerBackend('wasm', f, 2); }
      await tf.setBackend(backend);
      for (const [i, row] of rows.entries()) {
        try {
          appendFileSync((process.env.TO ?? '/tmp/s') + '.progress', `${Date.now() % 1e6} ${label} ${backend} ${row.op} ${row.attributes}\n`);
          if (row.breaksHeap && (label !== 'wt' || process.env.NOHEAP) && backend === 'wasm') { results[i]!.push('heap'); continue; }
          if (row.endless && label === 'stock') { results[i]!.push('endless'); continue; }
          const m = await RowModel.load(row);
          results[i]!.push(m.measure());
          m.dispose();
        } catch (e) { results[i]!.push('LOAD ' + (e as Error).message.slice(0, 60)); }
      }
    }
    void label;
  };
  const passes = (process.env.PASSES ?? 'stock,ours,wt').split(',');
  if (passes.includes('stock')) await pass('stock');
  if (passes.includes('ours') || passes.includes('wt')) await import('@tfjs-peft/kernels/gradients');
  if (passes.includes('ours')) await pass('ours');
  if (passes.includes('wt')) { await import('@tfjs-peft/kernels/wasm-training'); await pass('wt'); }
  rows.forEach((r, i) => lines.push(`${r.op} | ${r.attributes} | ${r.constant ? 'C' : ''} | ${results[i]!.join(' | ')}`));
  writeFileSync(process.env.TO ?? '/tmp/survey.txt', lines.join('\n'));
}, 600000);
