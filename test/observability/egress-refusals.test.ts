import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildComponents } from '../../scripts/build-components.ts'
import { type EgressRefusal, reportRefusals } from '../../src/engine/refusal-report.ts'
import { startHerald } from '../cli/herald-process.ts'
import { httpCall } from '../support/http-call.ts'

test('the first refusal is reported at once, those of a second together, whatever a guest does', () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const reports: EgressRefusal[] = []
    const refused = reportRefusals((refusal) => reports.push(refusal))
    for (let n = 0; n < 1_000; n++) refused({ target: `https://${n}.test`, reason: 'no' })
    assert.deepEqual(reports, [{ target: 'https://0.test', reason: 'no', count: 1 }])
    mock.timers.tick(1_000)
    assert.deepEqual(reports.slice(1), [{ target: 'https://999.test', reason: 'no', count: 999 }])
    mock.timers.tick(5_000)
    assert.equal(reports.length, 2)
    refused({ target: `https://${'x'.repeat(10_000)}\ud800`, reason: 'no' })
    assert.equal(reports[2]?.target.length, 200)
  } finally {
    mock.timers.reset()
  }
})

test('a component that calls a host which is not allowed is in the log, with the host it wanted', async () => {
  const gateway = (await buildComponents(['api-gateway'])).get('api-gateway')!
  const role = 'AWS_ROLE_ARN=arn:aws:iam::123456789012:role/demo'
  await using herald = startHerald([
    ...['dev', gateway, '--http', '0', '--output', 'json', '--audience', 'sts.amazonaws.com', '--env', role],
  ])
  const { http } = (await herald.event('ready')) as { http: string }
  const answer = await httpCall(`${http}/api/v1/exchange`, { method: 'POST' })
  assert.ok(answer.status >= 400)
  const record = () => herald.stderr.split('\n').find((line) => line.includes('"event":"egress.refused"'))
  for (const until = Date.now() + 10_000; record() === undefined; await sleep(20))
    assert.ok(Date.now() < until, herald.stderr)
  const { component, target, reason, count } = JSON.parse(record()!)
  assert.deepEqual([component, count], ['api-gateway', 1])
  assert.match(target, /^https:\/\/sts\..*amazonaws\.com:443$/)
  assert.match(reason, /allowedHosts/)
})
