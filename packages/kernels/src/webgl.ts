import './ops/all-gradients.js';
import {register} from './backends/webgl/register.js';

register();

export {register};
