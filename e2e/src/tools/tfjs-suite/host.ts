import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {dawnPath, SWIFTSHADER} from '@tfjs-peft/testing/dawn-library';
import {type Backend, bundleSpecs, type Side} from './bundle.js';
import {runInChromium} from './chromium.js';
import type {Outcome} from './outcome.js';

/** What a run in Node gets from its parent, as JSON. */
export interface HostArguments {
  /** File for the outcome. */
  result: string;
  /** Folder of the wasm backend's binaries. */
  wasm: string;
  /** Dawn's library. */
  dawn?: string;
}

const require = createRequire(import.meta.url);

/** Dawn asks the process for its Vulkan driver; SwiftShader, of Debian's chromium, runs on the CPU. */
function environment(): NodeJS.ProcessEnv {
  return existsSync(SWIFTSHADER) ? {VK_ICD_FILENAMES: SWIFTSHADER, ...process.env} : process.env;
}

async function runInNode(backend: Backend, script: string): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-suite-'));
  const handed: HostArguments = {
    result: join(folder, 'outcome.json'),
    wasm: dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + '/',
    ...(backend === 'webgpu' ? {dawn: dawnPath()} : {}),
  };
  const child = spawn(process.execPath, [script, JSON.stringify(handed)], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const status = await new Promise((done) => child.on('close', (code, signal) => done(code ?? signal)));
  try {
    if (status !== 0) throw new Error(`the specs on ${backend} ended with ${status}: ${said.trim()}`);
    return JSON.parse(readFileSync(handed.result, 'utf8')) as Outcome;
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}

/** Runs tfjs-core's specs on one backend: in a Node process of their own, or in Chromium for webgl. */
export async function runSpecs(backend: Backend, side: Side): Promise<Outcome> {
  const script = await bundleSpecs(backend, side);
  return backend === 'webgl' ? runInChromium(script) : runInNode(backend, script);
}
