import './index.js';
import {register} from './backends/wasm/register.js';

register();

export {register};
