import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'

/** Reporter of node's test runner that writes the path of every file with a failed test, one a line, each once. */
export default async function* failedFiles(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const seen = new Set<string>()
  for await (const event of source) {
    if (event.type !== 'test:fail' || event.data.file === undefined || seen.has(event.data.file)) continue
    seen.add(event.data.file)
    yield `${relative(process.cwd(), event.data.file)}\n`
  }
}
