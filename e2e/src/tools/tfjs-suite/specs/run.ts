/** Runs all specs that have been imported before this. */
import type {Outcome} from '../outcome.js';
import {jasmineEnv} from './jasmine.js';

async function run(): Promise<Outcome> {
  const outcome: Outcome = {specs: 0, failures: []};
  const note = (name: string, failed: {message: string}[]): void => {
    if (failed.length > 0) outcome.failures.push({name, message: failed[0]!.message});
  };
  jasmineEnv.configure({random: false});
  jasmineEnv.addReporter({
    specDone: ({fullName, status, failedExpectations}) => {
      if (status === 'passed' || status === 'failed') outcome.specs++;
      note(fullName, failedExpectations);
    },
    suiteDone: ({fullName, failedExpectations}) => note(`${fullName} (suite)`, failedExpectations),
    jasmineDone: ({failedExpectations}) => note('(all specs)', failedExpectations),
  });
  await jasmineEnv.execute();
  return outcome;
}

(globalThis as {outcome?: Promise<Outcome>}).outcome = run();
