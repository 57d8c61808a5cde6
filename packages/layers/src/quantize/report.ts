import {packedBytes} from '@tfjs-peft/kernels';
import type {FormatConfig, QuantizationError} from '@tfjs-peft/quant';
import type {PackableMatrix} from '../core/lifecycle/packable.js';

/** A layer or node whose weight is quantised. */
export interface QuantizedLayer {
  /** Its path in the model. */
  layer: string;
  /** The weight, by its name in the model. */
  weight: string;
  /** [inputDim, outputDim]. */
  shape: [number, number];
  /** Config of the format, with all defaults. */
  format: FormatConfig;
  /** Bits of tensor memory for each weight, with scales and zero points. */
  bits: number;
  /** Mean of (w - w_d)². */
  mse: number;
  /** ‖w - w_d‖ / ‖w‖; 0 where w is all zero. */
  relative: number;
  /** Largest |w - w_d|. */
  max: number;
  /** Tensor memory of the weight before, in bytes. */
  bytesBefore: number;
  /** Tensor memory of the weight now, in bytes. */
  bytesAfter: number;
}

/** What {@link quantizeModel} did. */
export interface QuantizationReport {
  /** The layers or nodes that are quantised now, in the model's order. */
  layers: QuantizedLayer[];
  /** All others with weights, and why they are not. */
  skipped: {layer: string; reason: string}[];
  /** Sums over `layers`. */
  bytesBefore: number;
  bytesAfter: number;
  /** The report as a table. */
  toString(): string;
}

/** A weight that has been packed. */
export interface PackedLayer {
  path: string;
  matrix: PackableMatrix;
  format: FormatConfig;
  error: QuantizationError;
  /** Σ w². */
  energy: number;
}

export function makeReport(
  packed: readonly PackedLayer[],
  skipped: QuantizationReport['skipped'],
): QuantizationReport {
  const layers = packed.map(({path, matrix, format, error, energy}): QuantizedLayer => {
    const [rows, columns] = matrix.shape;
    const bytesAfter = packedBytes(matrix.packed!);
    const {mse, max} = error;
    return {
      layer: path,
      weight: matrix.weight,
      shape: [rows, columns],
      format,
      bits: (8 * bytesAfter) / (rows * columns),
      mse,
      relative: energy === 0 ? 0 : Math.sqrt((mse * rows * columns) / energy),
      max,
      bytesBefore: 4 * rows * columns,
      bytesAfter,
    };
  });
  const total = (bytes: (layer: QuantizedLayer) => number) =>
    layers.reduce((sum, layer) => sum + bytes(layer), 0);
  const bytesBefore = total((layer) => layer.bytesBefore);
  const bytesAfter = total((layer) => layer.bytesAfter);
  return {
    layers,
    skipped,
    bytesBefore,
    bytesAfter,
    toString: () => toText(layers, skipped, bytesBefore, bytesAfter),
  };
}

const COLUMNS: [string, (layer: QuantizedLayer) => string][] = [
  ['layer', ({layer}) => layer],
  ['shape', ({shape}) => shape.join(' x ')],
  ['format', ({format}) => format.type],
  ['bits', ({bits}) => bits.toFixed(2)],
  ['relative error', ({relative}) => relative.toExponential(2)],
  ['bytes', ({bytesAfter}) => bytesAfter.toLocaleString('en-US')],
];

function toText(
  layers: readonly QuantizedLayer[],
  skipped: QuantizationReport['skipped'],
  before: number,
  after: number,
): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...layers.map((layer) => COLUMNS.map(([, cell]) => cell(layer))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  const number = (bytes: number) => bytes.toLocaleString('en-US');
  return [
    ...lines,
    `${number(after)} bytes in place of ${number(before)} (${(after / before).toFixed(3)} x).`,
    ...skipped.map(({layer, reason}) => `Skipped '${layer}': ${reason}.`),
  ].join('\n');
}
