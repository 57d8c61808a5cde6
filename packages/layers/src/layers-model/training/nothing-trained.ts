import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {listNames} from '../../core/messages.js';
import {asContainer, type Container, inside} from '../../core/tfjs/internals.js';
import {mapModel} from '../../core/tfjs/model-map.js';

const WAYS = ['fit', 'fitDataset', 'trainOnBatch'] as const;
type Ways = Record<(typeof WAYS)[number], (...args: unknown[]) => Promise<unknown>>;

/**
 * Makes the training of a model explain why it cannot work, if an upgrade has frozen all that it would train:
 * its own upgrade, or that of a model with the same layers. tfjs itself speaks only of variables.
 *
 * @param model One that has layers of the upgraded model, or that model itself.
 * @returns Undoes it.
 */
export function explainFrozen(
  model: Container,
  upgraded: {model: tfl.LayersModel; active: string | null; watch(running: Container): void},
): () => void {
  const ways = inside<Ways>(model);
  const ours = WAYS.filter((way) => !Object.hasOwn(model, way));
  for (const way of ours) {
    ways[way] = async (...args) => {
      // A Sequential is trained through the model inside it, which each compile makes anew.
      const running = (model.model ?? model) as Container;
      const {collectedTrainableWeights: weights} = running;
      if (weights?.every(({trainable}) => !trainable)) throw new ConfigError(reason(model, upgraded));
      upgraded.watch(running);
      return (Object.getPrototypeOf(model) as Ways)[way].apply(model, args);
    };
  }
  return () => {
    for (const way of ours) delete (ways as Partial<Ways>)[way];
  };
}

function reason(
  model: Container,
  {model: owner, active}: {model: tfl.LayersModel; active: string | null},
): string {
  const start = `Model '${model.name}' has nothing to train: `;
  if ((model as unknown) === owner) {
    const why = active === null ? 'no adapter is active' : 'its active adapter has nothing that is trained';
    return `${start}its layers are frozen by its upgrade, and ${why}. Call enable(), or detach() to train the layers themselves.`;
  }
  const own = new Set(mapModel(asContainer(owner)).layers.map(({layer}) => layer));
  const shared = mapModel(model).layers.filter(({layer}) => own.has(layer) && layer.weights.length > 0);
  return (
    `${start}its layers ${listNames(shared.map(({path}) => path))} are frozen by the upgrade of model '${owner.name}', which has them ` +
    'too. Detach that upgrade while you train them, or name them in its alsoTrain.'
  );
}
