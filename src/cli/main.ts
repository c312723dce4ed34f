// The `herald` command. bin/herald.js starts this file on Node 26.
import { readEnvironment } from './environment.ts'
import { createProgram } from './program.ts'
import { reportError } from './report-error.ts'
import { runProgram, toHeraldError } from './run-program.ts'

const environment = readEnvironment()
// Whoever reads the output may go first (`herald inspect x.wasm | head`); that is no fault of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    const known = toHeraldError(error)
    reportError(known, environment)
    process.exit(known.exitCode)
  })
}
process.exitCode = await runProgram(createProgram(environment), environment)
// All is done and said. What a library still has under way, such as an export that a collector does not answer, is no reason to stay.
setTimeout(() => process.exit(), 100).unref()
