// The first command of the README. What npm does before it, installing, has been done by whoever runs this.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { runProgram } from '../../scripts/servers/run-program.ts'

test('npm run demo goes through its steps, the refusals among them, and ends with 0', async () => {
  const script = join(import.meta.dirname, '../../scripts/demo.ts')
  const result = await runProgram(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    signal: AbortSignal.timeout(180_000),
    env: { ...process.env, NO_COLOR: '1' },
  })
  assert.equal(result.exitCode, 0, result.output)
  for (const step of [1, 2, 3, 4, 5]) assert.match(result.stdout, new RegExp(`^${step}\\. `, 'm'))
  assert.match(result.stdout, /another identity: STS refuses it/)
  assert.match(result.stdout, /^All as it should be/m)
})
