// Prints the plain closing line that CI reads, and turns a skip into a failure under TFJS_PEFT_REQUIRE=all.
export default class Summary {
  onRunComplete(_contexts, results) {
    this.skipped = results.numPendingTests + results.numTodoTests;
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    console.log(`${results.numPassedTests} passed, ${failed} failed, ${this.skipped} skipped`);
  }
  getLastError() {
    if (process.env.TFJS_PEFT_REQUIRE === 'all' && this.skipped > 0) {
      return new Error(`TFJS_PEFT_REQUIRE=all, but ${this.skipped} tests were skipped`);
    }
  }
}
