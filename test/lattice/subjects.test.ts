import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import {
  heartbeatSubject,
  hostCommandPattern,
  hostCommandSubject,
  hostCommands,
  hostOfHeartbeat,
  parseHostCommand,
  parseSubjectToken,
} from '../../src/lattice/subjects.ts'

const hostId = parseSubjectToken('5f2c-host_1', 'the host id')

test('subjects are upstream’s', () => {
  assert.equal(heartbeatSubject(hostId), 'runtime.operator.heartbeat.5f2c-host_1')
  assert.equal(hostCommandPattern(hostId), 'runtime.host.5f2c-host_1.>')
  assert.equal(hostCommandSubject(hostId, 'workload.start'), 'runtime.host.5f2c-host_1.workload.start')
})

test('what is built is parsed back', () => {
  for (const command of hostCommands)
    assert.equal(parseHostCommand(hostId, hostCommandSubject(hostId, command)), command)
  assert.equal(hostOfHeartbeat(heartbeatSubject(hostId)), hostId)
})

for (const subject of [
  'runtime.host.other.heartbeat',
  'runtime.host.5f2c-host_1',
  'runtime.host.5f2c-host_1.',
  'runtime.host.5f2c-host_1.workload',
  'runtime.host.5f2c-host_1.workload.start.x',
  'runtime.host.5f2c-host_1.toString',
  '',
]) {
  test(`parseHostCommand knows no command in ${JSON.stringify(subject)}`, () =>
    assert.equal(parseHostCommand(hostId, subject), undefined))
}

for (const token of ['', 'a.b', '*', '>', 'a b', 'a\n', 'ä', 'x'.repeat(129), '$SYS', 'a/b']) {
  test(`parseSubjectToken rejects ${JSON.stringify(token.slice(0, 20))}`, () =>
    assert.throws(
      () => parseSubjectToken(token, 'it'),
      (error) => isHeraldError(error, 'ERR_LATTICE_SUBJECT_INVALID'),
    ))
}
