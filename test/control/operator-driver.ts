import assert from 'node:assert/strict'
import { connect, type NatsConnection } from 'nats'

/** What upstream's operator waits for each answer, ms. */
export const operatorTimeouts = { heartbeat: 5_000, start: 60_000, status: 5_000, stop: 30_000 } as const

export type WireStatus = { workloadId: string; workloadState: string; message: string }
export type WireHeartbeat = {
  id: string
  hostname: string
  friendlyName: string
  version: string
  labels: Record<string, string>
  startedAt: string
  systemCpuUsage: number
  systemMemoryTotal: string
  systemMemoryFree: string
  componentCount: string
  workloadCount: string
  imports: { namespace: string; package: string; version: string; interfaces: string[] }[]
  exports: { namespace: string; package: string; version: string; interfaces: string[] }[]
  httpPort: number
  environment: string
}

/**
 * Plays upstream's operator message by message, with its time limits and its strictness: an answer with an unknown field, a wrong type,
 * without `workloadStatus` or with another id fails the test. It knows nothing of Herald's own codecs on purpose.
 */
export interface OperatorDriver extends AsyncDisposable {
  readonly connection: NatsConnection
  /** Every heartbeat that was published, by host, with the time it came (performance.now). */
  readonly heartbeats: ReadonlyMap<string, readonly { atMs: number; heartbeat: WireHeartbeat }[]>
  heartbeat(hostId: string): Promise<WireHeartbeat>
  start(hostId: string, workloadId: string, workload: object): Promise<WireStatus>
  status(hostId: string, workloadId: string): Promise<WireStatus>
  stop(hostId: string, workloadId: string): Promise<WireStatus>
  /** As upstream places: the start, then the status at once three times. Its answer is the state the operator would see. */
  place(hostId: string, workloadId: string, workload: object): Promise<WireStatus>
  /** Bytes as they are, to any command; the answer's text, or `undefined` when there is none in time. */
  raw(hostId: string, command: string, payload: Uint8Array, timeoutMs?: number): Promise<string | undefined>
}

export async function startOperatorDriver(url: string): Promise<OperatorDriver> {
  const connection = await connect({
    servers: url,
    name: 'operator-driver',
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  })
  const heartbeats = new Map<string, { atMs: number; heartbeat: WireHeartbeat }[]>()
  const faults: unknown[] = []
  connection.subscribe('runtime.operator.heartbeat.>', {
    callback: (error, message) => {
      if (message.subject.endsWith('.malformed-on-purpose')) return
      try {
        assert.equal(error, null)
        assert.equal(message.reply ?? '', '', 'a heartbeat is published without reply')
        const heartbeat = checkHeartbeat(message.data)
        assert.equal(message.subject, `runtime.operator.heartbeat.${heartbeat.id}`)
        const of = heartbeats.get(heartbeat.id) ?? []
        heartbeats.set(heartbeat.id, [...of, { atMs: performance.now(), heartbeat }])
      } catch (fault) {
        faults.push(fault)
      }
    },
  })
  await connection.flush()

  const ask = async (hostId: string, command: string, request: object, timeout: number): Promise<Uint8Array> => {
    const answer = await connection.request(`runtime.host.${hostId}.${command}`, Buffer.from(JSON.stringify(request)), {
      timeout,
    })
    assert.equal(answer.headers, undefined, 'answers have no headers')
    return answer.data
  }
  const driver: OperatorDriver = {
    connection,
    heartbeats,
    heartbeat: async (hostId) => checkHeartbeat(await ask(hostId, 'heartbeat', {}, operatorTimeouts.heartbeat)),
    start: async (hostId, workloadId, workload) =>
      checkStatus(await ask(hostId, 'workload.start', { workload, workloadId }, operatorTimeouts.start), workloadId),
    status: async (hostId, workloadId) =>
      checkStatus(await ask(hostId, 'workload.status', { workloadId }, operatorTimeouts.status), workloadId),
    stop: async (hostId, workloadId) =>
      checkStatus(await ask(hostId, 'workload.stop', { workloadId }, operatorTimeouts.stop), workloadId),
    async place(hostId, workloadId, workload) {
      await driver.start(hostId, workloadId, workload)
      const seen = await Promise.all([1, 2, 3].map(() => driver.status(hostId, workloadId)))
      return seen[2]!
    },
    async raw(hostId, command, payload, timeoutMs = 2_000) {
      try {
        return (await connection.request(`runtime.host.${hostId}.${command}`, payload, { timeout: timeoutMs })).string()
      } catch {
        return undefined
      }
    },
    async [Symbol.asyncDispose]() {
      await connection.close()
      if (faults.length > 0) throw new AggregateError(faults, 'a heartbeat broke the protocol')
    },
  }
  return driver
}

/** A workload as the operator sends it, annotations and empty `localResources` included. */
export function wireWorkload(
  name: string,
  {
    image = 'registry.example/team/hello:1',
    components = 1,
    ...more
  }: { image?: string; components?: number; [key: string]: unknown } = {},
): object {
  return {
    namespace: 'team-a',
    name,
    annotations: { 'runtime.wasmcloud.dev/workload-replica-set-generation': '1' },
    witWorld: {
      components: Array.from({ length: components }, (_, index) => ({
        name: index === 0 ? 'api' : `api-${index}`,
        image,
        localResources: {},
      })),
      hostInterfaces: [
        {
          namespace: 'wasi',
          package: 'http',
          interfaces: ['incoming-handler'],
          config: { host: `${name}.example.com`, 'host-aliases': `${name}.team-a,${name}.team-a.svc` },
        },
      ],
    },
    ...more,
  }
}

const states = ['STARTING', 'RUNNING', 'COMPLETED', 'STOPPING', 'ERROR', 'NOT_FOUND'].map(
  (state) => `WORKLOAD_STATE_${state}`,
)

export function checkStatus(payload: Uint8Array, workloadId: string): WireStatus {
  const answer = JSON.parse(Buffer.from(payload).toString('utf8'))
  assert.deepEqual(Object.keys(answer), ['workloadStatus'], 'an answer is a workloadStatus and nothing else')
  const { workloadStatus } = answer
  checkFields(workloadStatus, { workloadId: 'string', workloadState: 'string', message: 'string' })
  assert.equal(workloadStatus.workloadId ?? '', workloadId, 'the id is echoed')
  assert.ok(states.includes(workloadStatus.workloadState), `${workloadStatus.workloadState} is a state`)
  return { workloadId, message: '', ...workloadStatus }
}

function checkHeartbeat(payload: Uint8Array): WireHeartbeat {
  const heartbeat = JSON.parse(Buffer.from(payload).toString('utf8'))
  const texts = [
    'id',
    'hostname',
    'friendlyName',
    'version',
    'startedAt',
    'osArch',
    'osName',
    'osKernel',
    'environment',
  ]
  const longs = ['systemMemoryTotal', 'systemMemoryFree', 'componentCount', 'workloadCount']
  checkFields(heartbeat, {
    ...Object.fromEntries([...texts, ...longs].map((name) => [name, 'string'])),
    labels: 'object',
    systemCpuUsage: 'number',
    imports: 'object',
    exports: 'object',
    httpPort: 'number',
  })
  for (const name of longs) assert.match(heartbeat[name] ?? '0', /^\d+$/, `${name} is a 64-bit integer as a string`)
  assert.match(heartbeat.startedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
  for (const each of [...(heartbeat.imports ?? []), ...(heartbeat.exports ?? [])]) {
    checkFields(each, {
      namespace: 'string',
      package: 'string',
      version: 'string',
      interfaces: 'object',
      config: 'object',
      name: 'string',
    })
  }
  assert.match(heartbeat.friendlyName, /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/)
  const defaults = {
    environment: '',
    labels: {},
    componentCount: '0',
    workloadCount: '0',
    systemCpuUsage: 0,
    imports: [],
    exports: [],
    httpPort: 0,
  }
  return { ...defaults, ...heartbeat }
}

function checkFields(value: Record<string, unknown>, types: Record<string, string>): void {
  for (const [name, each] of Object.entries(value)) {
    assert.ok(Object.hasOwn(types, name), `unknown field ${name}: upstream refuses the whole message`)
    assert.equal(typeof each, types[name], name)
  }
}
