// A member of the crew in a thread of its own: does what it is asked, one job after the other.
import {parentPort, workerData} from 'node:worker_threads';
import {useBackend} from '../common/backend.js';
import type {Backend} from '../common/options.js';
import {type BaseModel, loadEncoder} from './encoders/load.js';
import {Member, type Work} from './member.js';
import type {Answer, Call} from './remote.js';

const ready = (async () => {
  const {base, backend} = workerData as {base: BaseModel; backend: Backend};
  await useBackend(backend);
  return new Member(await loadEncoder(base));
})();

let last: Promise<unknown> = ready;

parentPort!.on('message', ({id, method, args}: Call) => {
  last = last.then(async () => {
    let answer: Answer;
    try {
      const member: Work = await ready;
      const perform = member[method] as (...args: unknown[]) => Promise<unknown>;
      answer = {id, value: await perform.apply(member, args)};
    } catch (error) {
      answer = {id, error: (error as Error).message};
    }
    parentPort!.postMessage(answer);
  });
});
// A failed start is told in the answer to the first call.
last.catch(() => {});
