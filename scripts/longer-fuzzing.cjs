// Under TFJS_PEFT_FUZZ=N, fast-check tries every property on N times as many inputs.
const times = Number(process.env.TFJS_PEFT_FUZZ);
jest.mock('fast-check', () => {
  const actual = jest.requireActual('fast-check');
  const assert = (property, parameters = {}) =>
    actual.assert(property, {...parameters, numRuns: times * (parameters.numRuns ?? 100)});
  return {...actual, assert, default: {...actual.default, assert}, __esModule: true};
});
