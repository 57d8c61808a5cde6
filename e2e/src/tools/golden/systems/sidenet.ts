import * as tf from '@tensorflow/tfjs-core';
import {SideNetwork, type SideNetworkConfig} from '@tfjs-peft/layers/side';
import {type Deviations, deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import {CaseVariables, MIXTURE_NAMES, type MixtureData, mixtureConfig} from './ismoe.js';

interface SidenetData extends MixtureData {
  layers: number;
  heads: number;
  init: SideNetworkConfig['init'];
  combine: SideNetworkConfig['combine'];
  salient: SideNetworkConfig['salient'];
}

/** What the data call a weight that the network declares. */
function goldenName(name: string): string {
  const [, block, weight] = /^(?:block(\d+)\/)?(.+)$/.exec(name)!;
  const theirs =
    Object.entries(MIXTURE_NAMES).find(([, ours]) => ours === weight)?.[0] ??
    weight!
      .replace('share', 'a')
      .replace(/^norm/, 'ln')
      .replace(/_(\w)$/, '.$1');
  if (block === undefined) return theirs;
  return theirs.startsWith('down') ? theirs.replace('down', `down${block}`) : `l${block}.${theirs}`;
}

/** A side network beside the outputs of a backbone's blocks: output and all gradients. */
export async function runSidenet(golden: GoldenCase, tensors: Map<string, Golden>): Promise<Deviations> {
  const {dSide, dBackbone, dHidden, layers, heads, init, combine, salient} =
    golden.config as unknown as SidenetData;
  const variables = new CaseVariables(tensors);
  const mask = tf.tidy(() => (variables.has('in.mask') ? tf.clone(variables.of('in.mask')) : undefined));
  try {
    const taps = Array.from({length: layers + 1}, (_, i) => `in.h${i}`)
      .slice(init === 'embedding' ? 0 : 1)
      .map((name) => variables.of(name));
    const network = new SideNetwork(
      {
        ...mixtureConfig(golden, variables.has('param.l1.gate.b')),
        width: dSide,
        hidden: dHidden,
        heads,
        init: init!,
        combine: combine!,
        salient: salient!,
      },
      {widths: taps.map(() => dBackbone)},
    );
    network.build((name, shape) => {
      const variable = variables.of(`param.${goldenName(name)}`, shape);
      return {read: () => variable};
    });
    const run = () => network.apply(taps, mask as tf.Tensor2D | undefined);
    const forward = new Worst();
    const y = run();
    forward.add('out.y', deviation('out.y', await y.data(), tensorOf(tensors, 'out.y')));
    y.dispose();
    return {forward, grad: await variables.gradients(run)};
  } finally {
    mask?.dispose();
    variables.dispose();
  }
}
