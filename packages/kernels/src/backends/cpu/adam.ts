import type {PeftKernel} from '../../kernel-map.js';
import {arraysOf, cpu} from './arrays.js';

/** A step of Adam for one variable; see `AdamAttrs`. */
export const PeftAdam: PeftKernel<'PeftAdam'> = ({inputs, attrs, backend}) => {
  const {value, m, v, gradient} = arraysOf(inputs, backend);
  const {learningRate, beta1, beta2, epsilon, correction1, correction2} = attrs;
  const [newM, newV, newValue] = [m, v, value].map(({length}) => new Float32Array(length)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const rate = learningRate / correction1;
  for (let i = 0; i < value.length; i++) {
    const g = gradient[i]!;
    const first = beta1 * m[i]! + (1 - beta1) * g;
    const second = beta2 * v[i]! + (1 - beta2) * g * g;
    newM[i] = first;
    newV[i] = second;
    newValue[i] = value[i]! - (rate * first) / (Math.sqrt(second / correction2) + epsilon);
  }
  return [newM, newV, newValue].map((values) => cpu(backend).write(inputs.value.shape, values));
};
