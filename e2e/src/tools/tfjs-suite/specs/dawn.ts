/** Gives Node a GPU, before tfjs's webgpu backend is imported, which looks for one then. */
import {createRequire} from 'node:module';
import type {HostArguments} from '../host.js';

const {dawn} = JSON.parse(process.argv[2]!) as HostArguments;
const {create, globals} = createRequire(dawn!)(dawn!) as {
  create(options: string[]): unknown;
  globals: Record<string, unknown>;
};
Object.assign(globalThis, globals);
if (globalThis.navigator === undefined) {
  Object.defineProperty(globalThis, 'navigator', {value: {}, configurable: true, writable: true});
}
Object.defineProperty(globalThis.navigator, 'gpu', {value: create([]), configurable: true});
