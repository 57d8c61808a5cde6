import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import type {HostArguments} from '../host.js';

setWasmPaths((JSON.parse(process.argv[2]!) as HostArguments).wasm);
