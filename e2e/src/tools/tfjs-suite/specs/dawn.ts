/** Gives Node a GPU, before tfjs's webgpu backend is imported, which looks for one then. */
import {exposeGpu, loadDawn} from '@tfjs-peft/testing/dawn-library';
import type {HostArguments} from '../host.js';

// A bundle cannot find the library itself.
const {dawn: path} = JSON.parse(process.argv[2]!) as HostArguments;
const dawn = loadDawn(path);
exposeGpu(dawn, dawn.create([]));
