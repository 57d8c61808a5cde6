import {uniformNumbers} from '@tfjs-peft/kernels';
import {dequantize, type FormatSpec, quantizationError, quantize} from '@tfjs-peft/quant';

const next = uniformNumbers(1);
const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
const shape: [number, number] = [512, 64];
const weights = Float32Array.from({length: 512 * 64}, () => 0.05 * normal());

const formats: FormatSpec[] = [
  'int8',
  {type: 'int4', group: 32, scales: 'f16'},
  {type: 'int4', group: 32, symmetric: true, scales: 'f16'},
  'nf4',
  'int2',
  'bf16',
];
for (const format of formats) {
  const packed = quantize(weights, shape, format);
  const {mse, max, cosine} = quantizationError(weights, packed);
  const name = typeof format === 'string' ? format : JSON.stringify(format);
  console.log(name, mse.toExponential(2), max.toExponential(2), cosine.toFixed(5));
  console.log(dequantize(packed).subarray(0, 3), weights.subarray(0, 3));
}
