import * as tf from '@tensorflow/tfjs-core';
import {checkBackend} from './backend.js';
import type {Deviations, Worst} from './compare.js';
import {findIndexes, type Golden, type GoldenCase, NotExpressible, readCases} from './format.js';
import {runAdapter} from './systems/adapter.js';
import {runLime, runMor1e} from './systems/experts.js';
import {runGnpIq} from './systems/gnpiq.js';
import {runIsmoe} from './systems/ismoe.js';
import {runQuant} from './systems/quant.js';
import {runSidenet} from './systems/sidenet.js';
import {readTensors} from './tensors.js';

export interface CaseResult {
  id: string;
  system: string;
  forward: number | null;
  grad: number | null;
  ok: boolean;
  why: string;
}

export interface GoldenReport {
  backend: string;
  passed: number;
  failed: number;
  cases: CaseResult[];
}

type System = (golden: GoldenCase, tensors: Map<string, Golden>) => Deviations | Promise<Deviations>;

const SYSTEMS: Record<string, System> = {
  quant: runQuant,
  gnpiq: runGnpIq,
  lora: runAdapter,
  ia3: runAdapter,
  mov: runAdapter,
  molora: runAdapter,
  lime: runLime,
  mor1e: runMor1e,
  ismoe: runIsmoe,
  sidenet: runSidenet,
};

const NOT_EXPRESSIBLE = 'not expressible: ';

/**
 * Whether a case failed because the packages have no way to say what it does, and not
 * because they or the data are wrong.
 */
export function isNotExpressible({why}: CaseResult): boolean {
  return why.startsWith(NOT_EXPRESSIBLE);
}

/** GPUs sum in other orders and at lower precision. */
const GPU_TOLERANCE = 1e-3;

function tooFar(kind: string, worst: Worst | null, tolerance: number | undefined): string[] {
  if (!worst || worst.value <= (tolerance ?? 0)) return [];
  return [`${kind} of ${worst.name} deviates by ${worst.value.toExponential(2)}, allowed ${tolerance}`];
}

/** Gives a case's tensors from its file. */
export type Read = (file: string) => Map<string, Golden> | Promise<Map<string, Golden>>;

export async function runCase(golden: GoldenCase, read: Read = readTensors): Promise<CaseResult> {
  const {id, system} = golden;
  const failure = (why: string): CaseResult => ({id, system, forward: null, grad: null, ok: false, why});
  if (golden.peft) return failure(`${NOT_EXPRESSIBLE}PEFT folders`);
  const run = Object.hasOwn(SYSTEMS, system) ? SYSTEMS[system] : undefined;
  if (!run) return failure(`${NOT_EXPRESSIBLE}system ${system}`);
  try {
    const {forward, grad} = await run(golden, await read(golden.file));
    checkBackend();
    const gpu = tf.getBackend().startsWith('web');
    const why = [
      ...tooFar('forward', forward, gpu ? GPU_TOLERANCE : golden.tolerance.forward),
      ...tooFar('gradient', grad, gpu ? GPU_TOLERANCE : golden.tolerance.grad),
    ];
    return {
      id,
      system,
      forward: forward.value,
      grad: grad?.value ?? null,
      ok: why.length === 0,
      why: why.join('; '),
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failure(error instanceof NotExpressible ? NOT_EXPRESSIBLE + message : message);
  }
}

/** Every case in or below the folders. */
export function casesIn(folders: string[]): GoldenCase[] {
  const indexes = findIndexes(folders);
  if (indexes.length === 0) throw new Error(`no index.json in or below ${folders.join(', ')}`);
  return indexes.flatMap(readCases);
}

/**
 * Runs every case in or below the folders on the current backend, through the
 * public layers, routers and quantisers.
 */
export async function runGolden(folders: string[]): Promise<GoldenReport> {
  return runCases(casesIn(folders));
}

/** Runs the cases on the current backend. */
export async function runCases(goldens: GoldenCase[], read?: Read): Promise<GoldenReport> {
  const cases: CaseResult[] = [];
  for (const golden of goldens) cases.push(await runCase(golden, read));
  const passed = cases.filter(({ok}) => ok).length;
  return {backend: tf.getBackend(), passed, failed: cases.length - passed, cases};
}
