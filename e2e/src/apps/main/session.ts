import {existsSync, readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {InputError, reasonOf} from '../../data/input-error.js';
import {loadBuiltinTasks} from '../../data/tasks/builtin.js';
import {loadTaskFolder} from '../../data/tasks/folder.js';
import type {Task} from '../../data/tasks/task.js';
import type {Interrupt} from '../../tools/command/interrupt.js';
import {lockFolder} from '../../tools/command/lock.js';
import {checkSpace, checkWritable, makeFolders, writeJson} from '../../tools/command/output.js';
import {useBackend} from '../common/backend.js';
import {additionOf, quantizationOf} from './addition.js';
import {type Checkpoint, checkpointPath, readCheckpoint} from './checkpoint.js';
import {encodeTask} from './corpus.js';
import {Crew} from './crew.js';
import type {BaseModel} from './encoders/load.js';
import {type Options, RUN_OPTIONS, storedOptions} from './options.js';
import {isResult, meanResult, type Result, type SeedsResult} from './result.js';
import {runSeed} from './run.js';

/** What a run leaves on disk, about, before its adapter is known: of each seed, and if it is interrupted. */
const BYTES_SEED = 4e6;
const BYTES_CHECKPOINT = 6e6;

const runPath = (out: string) => join(out, 'run.json');
const resultPath = (folder: string) => join(folder, 'result.json');

function readStored(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${reasonOf(error)}); start without --resume`);
  }
}

/**
 * The options of the run in the out folder, which a resumed run keeps; flags
 * may repeat them, not change them.
 */
function resumedOptions(options: Options): Options {
  const path = runPath(options.out);
  if (!existsSync(path)) {
    throw new InputError(`--resume: ${options.out} holds no run; start without --resume`);
  }
  const stored = storedOptions(readStored(path), path);
  for (const key of options.given) {
    if (JSON.stringify(options[key]) !== JSON.stringify(stored[key])) {
      throw new InputError(
        `--resume: the run in ${options.out} has ${key} ${JSON.stringify(stored[key])}, not ${JSON.stringify(options[key])}; leave the option out, or start without --resume`,
      );
    }
  }
  return {...options, ...stored};
}

/** What a run that is gone on with has already, by seed. */
interface Done {
  results: Map<number, Result>;
  checkpoints: Map<number, Checkpoint>;
}

function readDone({seeds}: Options, folderOf: (seed: number) => string): Done {
  const done: Done = {results: new Map(), checkpoints: new Map()};
  for (const seed of seeds) {
    const folder = folderOf(seed);
    const path = resultPath(folder);
    if (existsSync(path)) {
      const result = readStored(path);
      if (!isResult(result, seed)) {
        throw new InputError(`${path}: not the result of a run with seed ${seed}; start without --resume`);
      }
      done.results.set(seed, result);
    } else {
      const checkpoint = readCheckpoint(folder);
      if (checkpoint !== undefined) done.checkpoints.set(seed, checkpoint);
    }
  }
  return done;
}

/** A new run takes the folder over: an old checkpoint must not be what a later --resume goes on with. */
function beginRun(options: Options, folders: string[]): void {
  for (const folder of folders) {
    makeFolders(folder);
    rmSync(checkpointPath(folder), {force: true});
    rmSync(resultPath(folder), {force: true});
  }
  writeJson(runPath(options.out), Object.fromEntries(RUN_OPTIONS.map((key) => [key, options[key]])));
}

/** Gives the tasks of a seed; what there is to say of their texts is said once. */
function taskLoader(options: Options): (seed: number) => Task[] {
  const said = new Set<string>();
  const warn = (message: string) => {
    if (!said.has(message)) process.stderr.write(`warning: ${message}\n`);
    said.add(message);
  };
  return (seed) =>
    options.tasksDir === undefined
      ? loadBuiltinTasks(options.tasks, options.limits, seed)
      : loadTaskFolder(options.tasksDir, options.limits, seed, warn);
}

/**
 * Runs every seed, or what is left of them, and gives the figures. All that can be checked is checked before
 * anything is written or computed.
 */
export async function runSession(given: Options, interrupt: Interrupt): Promise<Result | SeedsResult> {
  const options = given.resume ? resumedOptions(given) : given;
  checkWritable('--json', options.json);
  lockFolder('--out', options.out);
  checkSpace('--out', options.out, BYTES_CHECKPOINT + options.seeds.length * BYTES_SEED);
  const several = options.seeds.length > 1;
  const folderOf = (seed: number) => (several ? join(options.out, `seed-${seed}`) : options.out);
  const done = given.resume ? readDone(options, folderOf) : undefined;
  await interrupt.hear();
  const loadTasks = taskLoader(options);
  const loaded = new Map([[options.seeds[0]!, loadTasks(options.seeds[0]!)]]);
  await interrupt.hear();
  await useBackend(options.backend);
  const quantization = quantizationOf(options);
  const base: BaseModel = {model: options.model, ...(quantization && {quantization})};
  const crew = await Crew.gather(base, options.backend);
  const setting = {tasks: loaded.get(options.seeds[0]!)!.length, width: crew.width};
  const adapter = additionOf(options, setting, crew.encoder);
  await interrupt.hear();
  if (!given.resume) beginRun(options, options.seeds.map(folderOf));
  interrupt.advice = '; go on with --resume';
  const results: Result[] = [];
  for (const seed of options.seeds) {
    const before = done?.results.get(seed);
    if (before !== undefined) {
      results.push(before);
      continue;
    }
    if (several && !options.quiet) process.stderr.write(`seed ${seed}\n`);
    const out = folderOf(seed);
    const tasks = (loaded.get(seed) ?? loadTasks(seed)).map((task) =>
      encodeTask(task, crew.encoder, options.maxTokens),
    );
    const result = await runSeed({
      base,
      crew,
      tasks,
      options,
      adapter,
      seed,
      out,
      alone: !several,
      checkpoint: done?.checkpoints.get(seed),
      interrupt,
    });
    writeJson(resultPath(out), result);
    rmSync(checkpointPath(out), {force: true});
    results.push(result);
  }
  return several ? meanResult(results) : results[0]!;
}
