import './ops/all-gradients.js';
import {register} from './backends/cpu/register.js';

register();

export {register};
