import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Subject } from '../../src/lattice/subjects.ts'
import { collectLogs } from '../support/log.ts'
import { startNats } from '../support/nats.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { testLattice, until, within } from './lattice-test-setup.ts'
import { createJwtAuthority } from './user-jwt.ts'

const subject = 'test.echo' as Subject

test('a user JWT expires while the host is connected: it is said; renewed in the file it is taken without a restart, and subscriptions go on', async () => {
  const authority = createJwtAuthority()
  await using nats = await startNats({ config: authority.config })
  using directory = temporaryDirectory()
  const path = join(directory.path, 'host.creds')
  // JWTs know whole seconds only.
  const first = authority.creds({ expiresAt: new Date(Date.now() + 3_000) })
  writeFileSync(path, first.text)
  await using lattice = testLattice(nats.url, { credentials: { kind: 'creds-file', path } })
  lattice.subscribe(subject, { handle: (message) => message.reply(message.payload) })
  await lattice.connected(within(10_000))
  await until('the server ends it', () => lattice.state.kind !== 'connected', 20_000)
  await until(
    'the log says why',
    () => lattice.events().some((event) => /expired/i.test(JSON.stringify(event))),
    20_000,
  )
  const second = authority.creds({})
  writeFileSync(path, second.text)
  // In its last second the old one may connect once more, and is ended again: a request gets lost then.
  const endMs = Date.now() + 20_000
  const ask = () => lattice.request(subject, Buffer.from('x'), { timeoutMs: 1_000 }).catch(() => undefined)
  while ((await ask()) === undefined) assert.ok(Date.now() < endMs, 'the subscription goes on')
  for (const [name, text] of collectLogs()) {
    if (name.startsWith('lattice')) for (const { seed } of [first, second]) assert.ok(!text.includes(seed))
  }
})

test('a user JWT that has expired before the start is refused with the reason, and a renewed one connects', async () => {
  const authority = createJwtAuthority()
  await using nats = await startNats({ config: authority.config })
  using directory = temporaryDirectory()
  const path = join(directory.path, 'host.creds')
  writeFileSync(path, authority.creds({ expiresAt: new Date(Date.now() - 60_000) }).text)
  await using lattice = testLattice(nats.url, { credentials: { kind: 'creds-file', path } })
  await until('it was refused', () =>
    lattice
      .events()
      .some(({ event, code }) => event === 'lattice.connect-failed' && code === 'ERR_LATTICE_UNAUTHORIZED'),
  )
  writeFileSync(path, 'not credentials at all')
  writeFileSync(path, authority.creds({}).text)
  await lattice.connected(within(20_000))
})
