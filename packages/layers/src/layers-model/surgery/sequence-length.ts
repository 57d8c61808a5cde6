import type * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {createAdapter} from '../../core/adapters/registry.js';
import type {PlannedSite} from '../../core/lifecycle/plan.js';
import {
  type Container,
  inside,
  internals,
  isContainer,
  type Layer,
  type LayerUse,
} from '../../core/tfjs/internals.js';
import type {LocatedLayer} from '../../core/tfjs/model-map.js';

type Shape = tfl.Shape;

/** The parts of a symbolic tensor and its graph that a longer sequence is followed through. */
interface Tensor {
  id: number;
  shape: Shape;
  sourceLayer: Layer;
}

interface SizedUse extends LayerUse {
  inputTensors: Tensor[];
  outputTensors: Tensor[];
}

/**
 * Checks whether a planned site has room for the virtual tokens of its adapter, if there are any, by
 * computing the shapes of everything that follows again. If no length is fixed, there is nothing to compute.
 *
 * @param containers All models around the layer.
 * @throws UnsupportedSiteError naming the layer that needs the length as it was.
 */
export function checkRoom(
  {at: {layer, holder}, dims, config}: PlannedSite<LocatedLayer>,
  containers: readonly Container[],
): void {
  const by = createAdapter(config, dims).virtualTokens ?? 0;
  if (by > 0) checkGrows(layer, holder, by, containers);
}

function checkGrows(layer: Layer, holder: Layer, by: number, containers: readonly Container[]): void {
  const refuse = (where: string, why: string): never => {
    throw new UnsupportedSiteError(
      `Layer '${layer.name}' cannot carry ${by} virtual tokens: the length of its sequences is fixed at ` +
        `${where}: ${why} ` +
        'Build the model with inputs of shape [null], without layers that need a fixed length, or use an ' +
        'adapter without a prompt.',
    );
  };
  if (!isContainer(holder)) refuse(`layer '${holder.name}'`, 'it wraps the layer.');
  const grown = new Map<number, Shape>();
  const pending: Tensor[] = [];
  const shapeOf = ({id, shape}: Tensor) => grown.get(id) ?? shape;
  const set = (tensor: Tensor, shape: Shape) => {
    if (shapeOf(tensor).every((size, axis) => size === shape[axis])) return;
    grown.set(tensor.id, shape);
    pending.push(tensor);
  };

  for (const node of internals(layer).inboundNodes as SizedUse[]) {
    for (const tensor of node.outputTensors) {
      set(
        tensor,
        tensor.shape.map((size, axis) => (axis === 1 && size != null ? size + by : size)),
      );
    }
  }
  for (let tensor = pending.shift(); tensor !== undefined; tensor = pending.shift()) {
    for (const container of containers) {
      const place = inside<{outputs: Tensor[]}>(container).outputs.findIndex(({id}) => id === tensor!.id);
      if (place >= 0) refuse(`the output of model '${container.name}'`, `it is [${tensor.shape}].`);
    }
    for (const node of internals(tensor.sourceLayer).outboundNodes as SizedUse[]) {
      if (!node.inputTensors.some(({id}) => id === tensor!.id)) continue;
      const {outboundLayer: next} = node;
      if (isContainer(next)) refuse(`the input of model '${next.name}'`, `it is [${tensor.shape}].`);
      try {
        const shapes = shapesAfter(next, node.inputTensors.map(shapeOf));
        for (const [i, output] of node.outputTensors.entries()) set(output, shapes[i]!);
      } catch (error) {
        refuse(`layer '${next.name}'`, (error as Error).message);
      }
    }
  }
}

/** The output shapes of a layer for given input shapes; throws if it cannot take them. */
function shapesAfter(layer: Layer, inputs: Shape[]): Shape[] {
  // A batch of a fixed size: some layers check nothing while an axis is unknown.
  const shapes = inputs.map(([batch, ...rest]) => [batch ?? 1, ...rest]);
  // tfjs-layers checks no more than this of a tensor.
  const asTensors = shapes.map((shape) => ({shape, rank: shape.length, dtype: 'float32'}));
  inside<{assertInputCompatibility(inputs: unknown): void}>(layer).assertInputCompatibility(asTensors);
  const outputs = layer.computeOutputShape(shapes.length === 1 ? shapes[0]! : shapes);
  const listed = (Array.isArray(outputs[0]) ? outputs : [outputs]) as Shape[];
  return listed.map(([, ...rest]) => [inputs[0]![0]!, ...rest]);
}
