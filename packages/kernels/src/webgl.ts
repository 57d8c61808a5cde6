import './index.js';
import {register} from './backends/webgl/register.js';

register();

export {register};
