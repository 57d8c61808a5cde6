/** What the public types of routers and kernels promise. Never run: tsc checks it, with `npm run check`. */
import type {Tensor, Tensor2D} from '@tensorflow/tfjs-core';
import {type Activation, type CombineInputs, ConfigError, combine, PeftError} from '@tfjs-peft/kernels';
import {
  createRouter,
  type Router,
  type RouterConfig,
  type RouterConfigs,
  type Routing,
  type SoftmaxRouterConfig,
} from '@tfjs-peft/routers';
import {expectTypeOf} from 'expect-type';

// The config of a router is told by its type.
expectTypeOf<RouterConfigs['softmax']>().toEqualTypeOf<SoftmaxRouterConfig>();
expectTypeOf<{type: 'softmax'; experts: number}>().toExtend<RouterConfig>();
expectTypeOf<{type: 'no-such-router'; experts: number}>().not.toExtend<RouterConfig>();
expectTypeOf(createRouter).returns.toEqualTypeOf<Router>();
expectTypeOf<Routing['gates']>().toEqualTypeOf<Tensor>();

// combine takes tensors of any rank, and activations by their names.
expectTypeOf(combine).returns.toExtend<Tensor>();
expectTypeOf<{x: Tensor; kernel: Tensor2D; activation: 'relu'}>().toExtend<CombineInputs>();
expectTypeOf<'softmax'>().not.toExtend<Activation>();

// Every error is a PeftError.
expectTypeOf(ConfigError).instance.toExtend<PeftError>();
expectTypeOf(PeftError).instance.toExtend<Error>();
