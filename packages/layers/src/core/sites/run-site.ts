import * as tf from '@tensorflow/tfjs-core';
import {
  type CombineInputs,
  type CombineParts,
  combine,
  type ProjectInputs,
  project,
  UnsupportedSiteError,
} from '@tfjs-peft/kernels';
import type {RouterContext, Routing} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, ProjectRequest} from '../adapters/adapter.js';
import {asKernel} from '../tfjs/packed-variable.js';
import {contextOf} from './call-context.js';
import {type Dropout, dropoutOf, NO_DROPOUT} from './dropout.js';
import type {Operation} from './operation.js';

/**
 * A stage before the output of a site: x W with the part of the adapter, or the same with the bias, as the
 * activation gets it.
 */
export type SiteStage = 'product' | 'bias';

/** The settings of one run of a site. */
export interface SiteRun {
  /** What errors call the site, such as `Layer 'dense_1'`. */
  label: () => string;
  training: boolean;
  /** Whether a router's loss is wanted. Default: as `training`. */
  withLoss?: boolean;
  /**
   * The mask that tfjs-layers passes along; it counts where it has an entry for each row of what routers see.
   */
  mask?: unknown;
  context?: RouterContext | undefined;
  /** Where to stop. Default: at the site's output. */
  until?: SiteStage | undefined;
  /** Receives the decision of the router, and the context that applies to its rows. */
  observe?(routing: Routing, context: RouterContext | undefined): void;
}

/**
 * An operation's output with an adapter, activation included; without one, the frozen output.
 *
 * @param adapter Built for this operation.
 * @param x The operation's input.
 * @throws UnsupportedSiteError if the adapter does what the operation has no way to.
 */
export function runSite(
  operation: Operation,
  adapter: Adapter | null,
  x: tf.Tensor,
  run: SiteRun,
): tf.Tensor {
  return tf.tidy(() => {
    if (adapter === null) return output(operation, x, {}, run);
    // An adapter that reads the output acts after it.
    if (adapter.reads === 'output' && run.until !== undefined) return output(operation, x, {}, run);
    const lookup = operation.dims.kind === 'lookup';
    const dropout =
      run.training && adapter.dropout
        ? dropoutOf(run.label, adapter.dropout, {lookup, context: run.context})
        : NO_DROPOUT;
    const seen = adapter.dropsAt === 'site' && !lookup ? dropout.drop(x) : x;
    const reading = adapter.reads === 'output' ? output(operation, x, {}, run) : undefined;
    // Computed only for adapters that read it.
    const input = lazily(() => reading ?? operation.routed?.(x) ?? x);
    const context = lazily(() => contextOf(run.label, input().shape.slice(0, -1), run.context, run.mask));
    // An adapter that never reads the context would otherwise accept a mask of another batch.
    if (run.context?.mask !== undefined && operation.routed === undefined) context();
    const view: AdapterView = {
      get input() {
        return input();
      },
      get context() {
        return context();
      },
      training: run.training,
      withLoss: run.withLoss ?? run.training,
      ...operation.frozen,
      project: (request) => projectBy(operation, {x, seen, dropout}, request, run),
      drop: dropout.drop,
      observe: (routing) => {
        // The mask has no entries for virtual tokens, which are never padding.
        const {mask: _, ...others} = context() ?? {};
        run.observe?.(routing, adapter.virtualTokens ? others : context());
      },
    };
    const parts = adapter.parts(view);
    if (adapter.virtualTokens) return tf.concat([adapter.prepend!(view), reading!], 1);
    const changes = () =>
      reading === undefined ? output(operation, seen, parts, run) : combine({z: reading, ...parts});
    if (dropout === NO_DROPOUT || parts.h !== undefined) return changes();
    return droppedChange(operation, x, {parts, reading, changes, dropout}, run);
  });
}

/**
 * The dropout of an adapter that has no input of its own, since it only scales: what it changes of the output
 * is dropped.
 */
function droppedChange(
  operation: Operation,
  x: tf.Tensor,
  {
    parts: {post, ...inside},
    reading,
    changes,
    dropout,
  }: {
    parts: CombineParts;
    reading: tf.Tensor | undefined;
    changes(): tf.Tensor;
    dropout: Dropout;
  },
  run: SiteRun,
): tf.Tensor {
  const plain = reading ?? output(operation, x, {}, run);
  const isBehind = post !== undefined && Object.keys(inside).length === 0 && run.until === undefined;
  const changed = isBehind ? combine({z: plain, post}) : changes();
  return tf.add(plain, dropout.drop(tf.sub(changed, plain)));
}

/** The frozen weights as the ops take them: a packed kernel stays packed. */
function frozenOf({frozen: {kernel, bias}}: Operation): Pick<CombineInputs, 'kernel' | 'bias'> {
  return {kernel: asKernel(kernel), ...(bias && {bias})};
}

/** The site's expression with the operation's own activation, fused where the ops have it. */
function output(operation: Operation, x: tf.Tensor, parts: CombineParts, {label, until}: SiteRun): tf.Tensor {
  if (until !== undefined) return stage(operation, x, parts, until);
  if (parts.pre !== undefined && operation.base !== undefined) {
    throw new UnsupportedSiteError(
      `${label()}: its adapter scales the input, which only a plain product lets it do. Use an adapter ` +
        'without `pre`.',
    );
  }
  const inputs =
    operation.base === undefined ? {x, ...frozenOf(operation), ...parts} : {z: operation.base(x), ...parts};
  const {activation} = operation;
  if (activation === undefined) return combine(inputs);
  if (activation.fused !== undefined) return combine({...inputs, activation: activation.fused});
  const {post, ...inner} = inputs;
  const y = activation.apply(combine(inner));
  return post === undefined ? y : combine({z: y, post});
}

/**
 * The expression without what follows the stage: the activation, its scale and, for the product alone, the
 * bias.
 */
function stage(operation: Operation, x: tf.Tensor, parts: CombineParts, until: SiteStage): tf.Tensor {
  const {post: _, offset, ...inside} = parts;
  const {kernel, bias} = operation.frozen;
  if (until === 'bias') {
    const behind = {...inside, ...(offset && {offset})};
    return operation.base === undefined
      ? combine({x, ...frozenOf(operation), ...behind})
      : combine({z: operation.base(x), ...behind});
  }
  if (operation.base === undefined) return combine({x, kernel: asKernel(kernel), ...inside});
  if (operation.project !== undefined) return combine({z: operation.project(x, kernel), ...inside});
  const z = operation.base(x);
  return combine({z: bias === undefined ? z : tf.sub(z, bias), ...inside});
}

/** The input of a site, and what its frozen product and its adapter see of it. */
interface Seen {
  x: tf.Tensor;
  seen: tf.Tensor;
  dropout: Dropout;
}

function projectBy(
  operation: Operation,
  {x, seen, dropout}: Seen,
  {frozen = false, ...request}: ProjectRequest,
  run: SiteRun,
): ReturnType<typeof project> {
  if (dropout === NO_DROPOUT || frozen) return product(operation, seen, request, run);
  const {columns, ...own} = request;
  const h = dropout.through((x) => product(operation, x, own, run).h, x);
  if (columns === undefined) return {h};
  const {kernel} = operation.frozen;
  const leading = {a: tf.slice(kernel, [0, 0], [kernel.shape[0], columns])};
  return {h, columns: product(operation, seen, leading, run).h};
}

function product(
  operation: Operation,
  x: tf.Tensor,
  request: Omit<ProjectInputs, 'x' | 'kernel'>,
  {label}: SiteRun,
): ReturnType<typeof project> {
  const {kernel} = operation.frozen;
  const {a, columns} = request;
  if (operation.dims.kind === 'scaling') {
    throw new UnsupportedSiteError(
      `${label()}: its output can only be scaled, because it is not a product of the input and a matrix. ` +
        'Use ia3 or mov.',
    );
  }
  if (operation.project === undefined)
    return project({x, ...request, ...(columns && {kernel: asKernel(kernel)})});
  const h = operation.project(x, a);
  if (columns === undefined) return {h};
  return {h, columns: operation.project(x, tf.slice(kernel, [0, 0], [kernel.shape[0], columns]))};
}

function lazily<T>(compute: () => T): () => T {
  let known: {value: T} | undefined;
  return () => {
    known ??= {value: compute()};
    return known.value;
  };
}
