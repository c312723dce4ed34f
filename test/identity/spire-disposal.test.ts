import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/clock/clock.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import { createLog } from '../../src/observability/log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('an authority that waits for its agent leaves no timer behind when it is disposed of', async () => {
  using directory = temporaryDirectory()
  const before = timers()
  const authority = createSpireAuthority({
    adminSocketPath: join(directory.path, 'none.sock'),
    log: createLog({ level: 'silent' }),
    clock: systemClock,
  })
  await assert.rejects(authority.diagnose({ signal: AbortSignal.timeout(10_000) }), { code: 'ERR_SPIRE_UNREACHABLE' })
  // By now it waits for the connection, up to 5 s.
  await sleep(500)
  await authority[Symbol.asyncDispose]()
  assert.equal(timers(), before)
})
