import {dequantize, packedBytes, quantizationError, quantize} from '@tfjs-peft/quant';

const [rows, columns] = [256, 64];
const weights = Float32Array.from({length: rows * columns}, (_, i) => Math.sin(i * 12.9898) * 0.1);

const packed = quantize(weights, [rows, columns], {bits: 4, granularity: {group: 32}});
const {mse, max, cosine} = quantizationError(weights, packed);
console.log(`${weights.byteLength} bytes became ${packedBytes(packed)}`);
console.log(
  `mean squared error ${mse.toExponential(2)}, largest ${max.toExponential(2)}, cosine ${cosine.toFixed(5)}`,
);
console.log(dequantize(packed).length === weights.length);
