/**
 * Starts jasmine, with `describe`, `it` and the rest as globals: the specs call them on
 * import, so this is imported first.
 */
import jasmineRequire from 'jasmine-core/lib/jasmine-core/jasmine.js';

const jasmine = jasmineRequire.core(jasmineRequire);

export const jasmineEnv = jasmine.getEnv({suppressLoadErrors: true});
Object.assign(globalThis, jasmineRequire.interface(jasmine, jasmineEnv));
// A software GPU takes up to a second to compile one program, and a spec may need many.
jasmine.DEFAULT_TIMEOUT_INTERVAL = 60_000;
