import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DurationSeries, mergeDurations } from '../../src/observability/duration-series.ts'
import { createMetrics } from '../../src/observability/metrics.ts'
import { prometheusText } from '../../src/observability/prometheus-text.ts'

const times = { resource: { 'service.name': 'herald-host' }, startedAt: new Date(0), now: new Date(1_000) }

test('counters add up by their attributes, and are shown with the suffixes that Prometheus wants', async () => {
  const metrics = createMetrics()
  metrics.add('herald.identity.refusals', 2, { 'error.type': 'ERR_A' })
  metrics.add('herald.identity.refusals', 3, { 'error.type': 'ERR_A' })
  metrics.add('herald.identity.refusals', 1, { 'error.type': 'ERR_B' })
  const text = prometheusText(await metrics.collect(), times)
  assert.match(text, /^# TYPE herald_identity_refusals_total counter$/m)
  assert.match(text, /^# UNIT herald_identity_refusals_total \{refusal\}$/m)
  assert.match(text, /^herald_identity_refusals_total\{error_type="ERR_A"\} 5$/m)
  assert.match(text, /^herald_identity_refusals_total\{error_type="ERR_B"\} 1$/m)
  assert.match(text, /^target_info\{service_name="herald-host"\} 1$/m)
})

test('durations fall into buckets, of several threads together', async () => {
  const [one, other] = [new DurationSeries(), new DurationSeries()]
  const attributes = () => ({ 'http.request.method': 'GET', 'http.response.status_code': 200 })
  one.record('GET 200', 0.0005, attributes)
  one.record('GET 200', 0.3, attributes)
  other.record('GET 200', 60, attributes)
  const metrics = createMetrics()
  metrics.addSource(() =>
    mergeDurations([...one.points(), ...other.points()]).map((point) => ({
      name: 'http.server.request.duration',
      ...point,
    })),
  )
  const text = prometheusText(await metrics.collect(), times)
  const line = (suffix: string, le = '') =>
    new RegExp(`^http_server_request_duration_seconds_${suffix}\\{.*method="GET".*${le}.*\\} (.*)$`, 'm').exec(
      text,
    )?.[1]
  assert.equal(line('count'), '3')
  assert.equal(line('sum'), '60.3005')
  assert.equal(line('bucket', 'le="0.001"'), '1')
  assert.equal(line('bucket', 'le="0.5"'), '2')
  assert.equal(line('bucket', 'le="10"'), '2')
  assert.equal(line('bucket', 'le="\\+Inf"'), '3')
})

test('series beyond the limit are counted in one of their own, and nothing is lost', async () => {
  const series = new DurationSeries({ maxSeries: 3 })
  for (let status = 200; status < 300; status++) series.record(`GET ${status}`, 1, () => ({ status }))
  const points = series.points()
  assert.equal(points.length, 4)
  assert.equal(points.find(({ attributes }) => attributes['otel.metric.overflow'] === 'true')?.count, 97)

  const metrics = createMetrics({ maxSeries: 3 })
  for (let code = 0; code < 100; code++) metrics.add('herald.identity.refusals', 1, { 'error.type': `ERR_${code}` })
  const counted = (await metrics.collect()).map((point) => ('value' in point ? point.value : 0))
  assert.deepEqual(counted, [1, 1, 1, 97])
})

test('a source that fails is left out, and the others are read', async () => {
  const errors: unknown[] = []
  const metrics = createMetrics({ onSourceError: (error) => errors.push(error) })
  metrics.addSource(() => {
    throw new Error('gone')
  })
  metrics.addSource(async () => [{ name: 'herald.svid.cached', value: 7 }])
  assert.deepEqual(await metrics.collect(), [{ name: 'herald.svid.cached', value: 7 }])
  assert.equal(errors.length, 1)
})
