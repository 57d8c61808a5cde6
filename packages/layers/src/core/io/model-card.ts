import {type AdapterFile, CONFIG_FILE, WEIGHTS_FILE} from './adapter-file.js';
import {sha256} from './sha256.js';
import {encodeText} from './text-encoding.js';

const SIGNED = /\n<!-- Written by tfjs-peft, SHA-256 ([0-9a-f]{64})\. -->\n$/;

/** What loads a file, and where it is exported. */
export interface Loader {
  load: string;
  entry: string;
}

const PEFT: Loader = {load: 'loadPeft', entry: '@tfjs-peft/layers'};

/** Behind the body, by which the cards of the first version are known. */
const OF_GRAPHS = `
For a GraphModel, use \`tf.loadGraphModel\`, and import \`loadPeft\` from \`@tfjs-peft/layers/graph\`.
`;

/** The same, where the function stays where it is. */
const OF_OTHER_GRAPHS = `
For a GraphModel, use \`tf.loadGraphModel\`, and import \`@tfjs-peft/layers/graph\` too.
`;

/**
 * A README for a saved adapter: what it is, and how to use it. Its last line tells later saves whether
 * anybody has changed it since.
 */
export async function modelCard(file: AdapterFile, loader = PEFT): Promise<string> {
  const body = `${bodyOf(file, loader)}${loader === PEFT ? OF_GRAPHS : OF_OTHER_GRAPHS}`;
  return `${body}\n<!-- Written by tfjs-peft, SHA-256 ${await sha256(encodeText(body))}. -->\n`;
}

/**
 * Whether a README is one that save wrote, and nobody has changed since.
 *
 * @param before The config beside it: the first version did not sign what it wrote.
 */
export async function isOurCard(card: string, before: AdapterFile | undefined): Promise<boolean> {
  const signed = SIGNED.exec(card);
  if (signed === null) return before !== undefined && card === bodyOf(before, PEFT);
  return signed[1] === (await sha256(encodeText(card.slice(0, signed.index))));
}

function bodyOf(file: AdapterFile, {load, entry}: Loader): string {
  const parameters = [...file.sites, ...file.trained]
    .flatMap(({weights}) => weights)
    .reduce((sum, {shape}) => sum + shape.reduce((size, axis) => size * axis, 1), 0);
  const base = file.base.weights.reduce(
    (sum, {shape}) => sum + shape.reduce((size, axis) => size * axis, 1),
    0,
  );
  const trained = file.trained.map(({name}) => code(name)).join(', ');
  return `# ${text(file.name)}

An adapter for a TensorFlow.js model, made with tfjs-peft.

| | |
|---|---|
| adapter | ${code(JSON.stringify(file.adapter))} |
| sites | ${file.sites.map(({name, shape}) => `${code(name)} (${shape.join(' x ')})`).join(', ')} |
| layers trained in full | ${trained || 'none'} |
| parameters | ${parameters} |
| base model | ${base} frozen parameters, SHA-256 ${code(file.base.sha256)} |

The weights are in \`${WEIGHTS_FILE}\`, everything else in \`${CONFIG_FILE}\`. Load both into the base model:

\`\`\`ts
import * as tf from '@tensorflow/tfjs';
import {${load}} from '${entry}';

const model = await tf.loadLayersModel(baseUrl);
await ${load}(model, folderOfThisFile);
\`\`\`
`;
}

/** On one line and without the signs that end a table cell. */
function text(value: string): string {
  return value.replace(/\s+/g, ' ').replaceAll('|', '\\|');
}

function code(value: string): string {
  return `\`${text(value).replaceAll('`', "'")}\``;
}
