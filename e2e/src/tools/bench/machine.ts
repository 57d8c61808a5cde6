import {cpus} from 'node:os';
import type {BenchReport} from './report.js';

/** What the figures were measured on; `gpu` is the name of the GPU, if there is one. */
export function machine(gpu?: string): BenchReport['machine'] {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    node: process.version,
    ...(gpu !== undefined && {gpu}),
  };
}
