import { strictEqual, throws } from 'node:assert'
import { test } from 'node:test'
import { UnwindingError } from '../../src/wasi/io/unwinding-error.ts'

test("an unwinding error is an ordinary one for everybody but jco's AsyncTask.reject", () => {
  const reason = new Error('the deadline has passed')
  const error = new UnwindingError(reason)
  strictEqual(error.message, 'the deadline has passed')
  strictEqual(String(error), 'UnwindingError: the deadline has passed')
  strictEqual(error.cause, reason)
  class AsyncTask {
    reject(given: Error): string {
      return given.message
    }
  }
  throws(
    () => new AsyncTask().reject(error),
    (thrown) => thrown === reason,
  )
  strictEqual(error.message, 'the deadline has passed')
})
