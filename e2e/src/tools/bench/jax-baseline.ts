import {jit, nn, numpy as np, tree, valueAndGrad} from '@jax-js/jax';

type Array = np.Array;
type Weights = {[name: string]: Array};
type Frozen = {kernel: Array; bias: Array};
type State = {weights: Weights; first: Weights; second: Weights};

/**
 * An adapted projection; jax-js counts references, and every argument is used up
 * by the call that it is passed to.
 */
type Forward = (x: Array, weights: Weights, frozen: Frozen) => Array;

const base = (x: Array, {kernel, bias}: Frozen) => np.matmul(x, kernel).add(bias);
const gates = (x: Array, router: Array) => nn.softmax(np.matmul(x, router), -1);

const FORWARDS: Record<string, (options: {experts: number; rank: number; alpha: number}) => Forward> = {
  none: () => (x, _weights, frozen) => base(x, frozen),
  lora:
    ({rank, alpha}) =>
    (x, {lora_A: a, lora_B: b}, frozen) =>
      base(x.ref, frozen).add(np.matmul(np.matmul(x, a!), b!).mul(alpha / rank)),
  mov:
    () =>
    (x, {router, scaling}, frozen) =>
      base(x.ref, frozen).mul(np.matmul(gates(x, router!), scaling!)),
  molora:
    ({experts, rank, alpha}) =>
    (x, {lora_A: a, lora_B: b, router}, frozen) => {
      const rows = x.shape[0]!;
      const h = np.matmul(x.ref, a!).reshape([rows, experts, rank]);
      const mixed = h.mul(gates(x.ref, router!).reshape([rows, experts, 1])).reshape([rows, experts * rank]);
      return base(x, frozen).add(np.matmul(mixed, b!).mul(alpha / rank));
    },
};

/** The same numbers as the tfjs side has, as typed arrays. */
export interface JaxInputs {
  adapter: string;
  options: {experts: number; rank: number; alpha: number};
  tensors: Record<'x' | 'target' | 'kernel' | 'bias', {data: Float32Array; shape: number[]}>;
  weights: Record<string, {data: Float32Array; shape: number[]}>;
}

/**
 * A training step of jax-js, one jitted function of loss, gradients and Adam: mean((y - target)²) of x
 * ∘ scale, with scale trained beside the adapter. Returns the loss. Without a global Worker, as in
 * Node, jax-js runs on one thread.
 */
export function jaxStep({adapter, options, tensors, weights}: JaxInputs): (() => number) | undefined {
  const forward = FORWARDS[adapter]?.(options);
  if (!forward) return undefined;
  const array = ({data, shape}: {data: Float32Array; shape: number[]}) =>
    np.array(data.slice()).reshape(shape);
  const [x, target] = [array(tensors.x), array(tensors.target)];
  const frozen: Frozen = {kernel: array(tensors.kernel), bias: array(tensors.bias)};
  const width = tensors.x.shape[1]!;
  const initial: Weights = {scale: np.ones([width])};
  for (const [name, value] of Object.entries(weights)) initial[name] = array(value);
  const zeros = () => tree.map((value: Array) => np.zeros(value.shape), initial) as Weights;

  const loss = ({scale, ...rest}: Weights, input: Array, want: Array, fixed: Frozen) =>
    np.mean(np.square(forward(input.mul(scale!), rest, fixed).sub(want)));
  const update = jit((state: State, input: Array, want: Array, fixed: Frozen, unbiased: Array) => {
    const [value, gradients] = valueAndGrad(loss)(tree.ref(state.weights), input, want, fixed) as [
      Array,
      Weights,
    ];
    const next: State = {weights: {}, first: {}, second: {}};
    for (const [name, gradient] of Object.entries(gradients)) {
      const first = state.first[name]!.mul(0.9).add(gradient.ref.mul(0.1));
      const second = state.second[name]!.mul(0.999).add(np.square(gradient).mul(0.001));
      const [firstUnbiased, secondUnbiased] = [unbiased.ref.slice(0), unbiased.ref.slice(1)];
      const move = first.ref.mul(firstUnbiased).div(np.sqrt(second.ref.mul(secondUnbiased)).add(1e-7));
      next.weights[name] = state.weights[name]!.sub(move.mul(1e-3));
      next.first[name] = first;
      next.second[name] = second;
    }
    unbiased.dispose();
    return [value, next] as [Array, State];
  });

  let state: State = {weights: tree.ref(initial), first: zeros(), second: zeros()};
  let steps = 0;
  return () => {
    steps++;
    const unbiased = np.array([1 / (1 - 0.9 ** steps), 1 / (1 - 0.999 ** steps)]);
    const [value, next] = update(state, x.ref, target.ref, tree.ref(frozen), unbiased) as [Array, State];
    state = next;
    return value.dataSync()[0]!;
  };
}
