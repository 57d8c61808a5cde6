import './ops/all-gradients.js';
import {register} from './backends/webgpu/register.js';

register();

export {register};
