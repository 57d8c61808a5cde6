// Prints each skipped test and then the plain closing line that CI reads, and turns a skip into a failure
// under TFJS_PEFT_REQUIRE=all. A skipped test says in its title what it lacks and how to get it.
export default class Summary {
  constructor({testNamePattern}) {
    // With -t the skips are what the caller asked for.
    this.listed = !testNamePattern;
  }
  onRunComplete(_contexts, results) {
    const skipped = results.testResults.flatMap(({testFilePath, testResults}) =>
      testResults
        .filter(({status}) => status === 'pending' || status === 'todo')
        .map(({fullName}) => `skipped: ${testFilePath}: ${fullName}`),
    );
    this.skipped = results.numPendingTests + results.numTodoTests;
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    // jest's own summary is printed after every other reporter; ours has to be the last line.
    process.on('exit', () => {
      for (const line of this.listed ? skipped : []) console.log(line);
      console.log(`${results.numPassedTests} passed, ${failed} failed, ${this.skipped} skipped`);
    });
  }
  getLastError() {
    if (process.env.TFJS_PEFT_REQUIRE === 'all' && this.skipped > 0) {
      return new Error(`TFJS_PEFT_REQUIRE=all, but ${this.skipped} tests were skipped`);
    }
  }
}
