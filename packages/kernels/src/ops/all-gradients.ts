/** The gradients of all ops, which each op's own file registers: for the backends' entries, which register all kernels. */
import './blend.js';
import './combine.js';
import './experts.js';
import './gates.js';
import './layer-norm.js';
import './matmul.js';
import './project.js';
import './stream-gates.js';
