import {registerKind} from './core/lifecycle/kinds.js';
import {registerMerger} from './core/lifecycle/mergeable.js';
import {registerSideHost} from './core/lifecycle/side-host.js';
import {graphKind} from './graph-model/kind.js';
import {graphMerger} from './graph-model/merging.js';
import {registerNodes} from './graph-model/register.js';
import {GraphHost} from './graph-model/side-host.js';

// Registered here, not in the modules' own files: a bundler would drop what only a saved model needs.
registerKind('graph', graphKind);
registerNodes();
registerSideHost('graph', GraphHost.make);
registerMerger('node', graphMerger);

export type {GraphPeft} from './graph-model/kind.js';
export type {
  Batching,
  GraphArrays,
  GraphBatch,
  GraphData,
  GraphDataset,
  GraphIterator,
  GraphPair,
  GraphTargets,
} from './graph-model/training/batches.js';
export type {GraphInputs} from './graph-model/training/inputs.js';
export type {
  ClassWeight,
  GraphEvaluateOptions,
  GraphFitOptions,
  TrainerOptions,
} from './graph-model/training/options.js';
export type {GradientGap} from './graph-model/training/preflight.js';
export {type GraphTrainer, type PreparedInputs, trainer} from './graph-model/training/trainer.js';
export * from './index.js';
