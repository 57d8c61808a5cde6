/** What is used here of jasmine-core, which has no types that live beside jest's. */
declare module 'jasmine-core/lib/jasmine-core/jasmine.js' {
  export interface Result {
    fullName: string;
    status: 'passed' | 'failed' | 'pending' | 'excluded' | 'finished';
    failedExpectations: {message: string}[];
  }
  export interface Reporter {
    specDone?(result: Result): void;
    suiteDone?(result: Result): void;
    jasmineDone?(result: {failedExpectations: {message: string}[]}): void;
  }
  export interface Env {
    configure(options: {random: boolean}): void;
    addReporter(reporter: Reporter): void;
    execute(): Promise<unknown>;
  }
  export interface Jasmine {
    DEFAULT_TIMEOUT_INTERVAL: number;
    getEnv(options?: {suppressLoadErrors: boolean}): Env;
  }
  interface JasmineRequire {
    core(jasmineRequire: JasmineRequire): Jasmine;
    interface(jasmine: Jasmine, env: Env): Record<string, unknown>;
  }
  const jasmineRequire: JasmineRequire;
  export default jasmineRequire;
}
