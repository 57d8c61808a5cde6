import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {PeftKernel} from '../../kernel-map.js';
import type {Mix} from '../../types.js';
import {run} from './program.js';

/** One thread per element of mix(h, gates) [rows, width]; see `Mix`. */
export function mixTo(backend: KernelBackend, h: TensorInfo, gates: TensorInfo, kind: Mix): TensorInfo {
  const [rows, r1] = h.shape as [number, number];
  const g = gates.shape[1]!;
  const width = kind === 'dense' ? g / r1 : r1;
  const code =
    kind === 'expert'
      ? `value = getH(at.x, at.y) * getGates(at.x, at.y / ${r1 / g});`
      : `for (int i = 0; i < ${r1}; i++) value += getH(at.x, i) * getGates(at.x, i * ${width} + at.y);`;
  const program = {
    variableNames: ['H', 'Gates'],
    outputShape: [rows, width],
    userCode: `
      void main() {
        ivec2 at = getOutputCoords();
        float value = 0.0;
        ${code}
        setOutput(value);
      }`,
  };
  return run(backend, program, [h, gates]);
}

export const PeftMix: PeftKernel<'PeftMix'> = ({inputs: {h, gates}, attrs, backend}) =>
  mixTo(backend, h, gates, attrs.mix);

function gradientCode(of: 'h' | 'gates', kind: 'expert' | 'dense', r1: number, g: number): string {
  const rank = r1 / g;
  const width = g / r1;
  if (of === 'h') {
    return kind === 'expert'
      ? `value = getD(at.x, at.y) * getOther(at.x, at.y / ${rank});`
      : `for (int j = 0; j < ${width}; j++) value += getD(at.x, j) * getOther(at.x, at.y * ${width} + j);`;
  }
  return kind === 'expert'
    ? `for (int k = 0; k < ${rank}; k++) value += getD(at.x, at.y * ${rank} + k) * getOther(at.x, at.y * ${rank} + k);`
    : `value = getD(at.x, at.y - at.y / ${width} * ${width}) * getOther(at.x, at.y / ${width});`;
}

/** Gradients of h and gates from that of mix(h, gates). */
export const PeftMixGrad: PeftKernel<'PeftMixGrad'> = ({inputs: {dhm, h, gates}, attrs, backend}) => {
  const kind = attrs.mix;
  return (['h', 'gates'] as const).map((of) => {
    const program = {
      variableNames: ['D', 'Other'],
      outputShape: (of === 'h' ? h : gates).shape,
      userCode: `
        void main() {
          ivec2 at = getOutputCoords();
          float value = 0.0;
          ${gradientCode(of, kind, h.shape[1]!, gates.shape[1]!)}
          setOutput(value);
        }`,
    };
    return run(backend, program, [dhm, of === 'h' ? gates : h]);
  });
};
