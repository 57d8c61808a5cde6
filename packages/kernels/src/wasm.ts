import {register} from './backends/wasm/register.js';

export {register};

register();
