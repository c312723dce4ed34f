import { join } from 'node:path'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { freePort } from './free-port.ts'
import { startLog } from './log.ts'
import { startServerProcess } from './server-process.ts'

// biome-ignore lint/suspicious/noExplicitAny: OTLP's JSON, looked into field by field
type Json = any

export type ReceivedSpan = {
  readonly traceId: string
  readonly spanId: string
  /** Empty for one that begins a trace. */
  readonly parentSpanId: string
  readonly name: string
  /** OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  readonly failed: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}

/** OpenTelemetry's own receiver of OTLP over HTTP. Disposal ends it. */
export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string
  /** What it took of one signal, oldest first: OTLP's JSON, one value for each export. */
  received(signal: 'traces' | 'metrics' | 'logs'): readonly Json[]
  spans(): readonly ReceivedSpan[]
  /** All that it took, as text. */
  text(): string
}

/** @throws with the end of its log if it does not become ready. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const programs = await buildServer('otlp-receiver')
  const address = `127.0.0.1:${await freePort()}`
  const log = startLog('otlp-receiver')
  const server = await startServerProcess({
    name: 'otlp-receiver',
    program: join(programs, 'otlp-receiver'),
    args: [address],
    log,
    isReady: async () => log.text().includes('"signal":"listening"'),
  })
  const received = (wanted: string): readonly Json[] =>
    log
      .text()
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .filter(({ signal }) => signal === wanted)
      .map(({ data }) => data)
  return {
    url: `http://${address}`,
    received,
    spans: () =>
      received('traces')
        .flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
        .map(({ traceId, spanId, parentSpanId = '', name, kind, status = {}, attributes = [] }) => ({
          ...{ traceId, spanId, parentSpanId, name, kind },
          failed: status.code === 2 ? String(status.message) : undefined,
          attributes: Object.fromEntries(attributes.map(({ key, value }: Json) => [key, plain(value)])),
        })),
    text: () => log.text(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function plain(value: Json): unknown {
  const [[kind, inner] = ['', undefined]] = Object.entries<Json>(value)
  if (kind === 'intValue') return Number(inner)
  return kind === 'arrayValue' ? inner.values.map(plain) : inner
}
