import { readFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { buildComponents } from '../../scripts/build-components.ts'
import type { Capability } from '../../src/capabilities/capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createEngine } from '../../src/engine/create-engine.ts'
import { defaultLimits } from '../../src/engine/default-limits.ts'
import type { ComponentLimits } from '../../src/engine/engine.ts'
import { createHost, type Host, type WorkloadHandle } from '../../src/host/host.ts'
import { createIngress } from '../../src/ingress/create-ingress.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'
import { createLog, type Log } from '../../src/observability/log.ts'
import { httpCall } from '../support/http-call.ts'
import { startLog } from '../support/log.ts'

export type HouseWorkload = {
  /** A component of components/. */
  readonly component: string
  /** Other components of the same workload. Default: none. */
  readonly beside?: readonly string[]
  /** `hostInterfaces` beside wasi:http, each as inline YAML. */
  readonly interfaces?: readonly string[]
  /** `localResources.config`. */
  readonly config?: Readonly<Record<string, string>>
  readonly namespace?: string
  readonly name?: string
  readonly replicas?: number
  readonly poolSize?: number
}

/** A whole host without the command: manifests are parsed, real components run in real cells, HTTP comes through the ingress. */
export type CapabilityHouse = AsyncDisposable & {
  readonly host: Host
  readonly log: Log
  /** All records so far. */
  records(): readonly Record<string, unknown>[]
  deploy(workload: HouseWorkload): Promise<DeployedWorkload>
}

/** Disposal stops it. */
export type DeployedWorkload = AsyncDisposable & {
  readonly handle: WorkloadHandle
  /** GET, with the query encoded. */
  get(path: string, query?: Readonly<Record<string, string>>): Promise<{ status: number; text: string }>
  /** The path goes out as it is. */
  send(method: string, path: string, body?: Uint8Array | string, options?: SendOptions): Promise<SentAnswer>
}

export type SendOptions = { readonly signal?: AbortSignal; readonly headers?: Readonly<Record<string, string>> }

export type SentAnswer = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
}

export type HouseOptions = {
  /** Components that are not of components/, by name. */
  readonly guests?: Readonly<Record<string, Promise<Uint8Array>>>
  readonly limits?: Partial<ComponentLimits>
}

export async function openCapabilityHouse(
  capabilities: (log: Log) => readonly Capability[],
  { guests = {}, limits = {} }: HouseOptions = {},
): Promise<CapabilityHouse> {
  const { append, text } = startLog('capability-house')
  const log = createLog({ level: 'trace', destination: { write: append } })
  await using cleanup = new AsyncDisposableStack()
  const images = new Map<string, Promise<Uint8Array>>(Object.entries(guests))
  const load = async (name: string): Promise<Uint8Array> =>
    readFile((await buildComponents([name], { log: append })).get(name)!)
  const made = capabilities(log)
  for (const capability of made) cleanup.use(capability)
  const engine = cleanup.use(createEngine({ log, clock: systemClock }))
  const ingress = cleanup.use(await createIngress({ log, host: '127.0.0.1', port: 0 }))
  const host = cleanup.use(
    await createHost(
      {
        engine,
        ingress,
        capabilities: made,
        lattice: 'default',
        environment: undefined,
        labels: {},
        images: {
          async fetch(image) {
            const name = image.reference.replace('file:///', '')
            const known = images.get(name) ?? load(name)
            images.set(name, known)
            return { bytes: await known, digest: `sha256:${'0'.repeat(64)}` }
          },
        },
        log,
        clock: systemClock,
        limits: { ...defaultLimits, ...limits },
      },
      { signal: AbortSignal.timeout(30_000) },
    ),
  )
  const owned = cleanup.move()
  let next = 0
  return {
    host,
    log,
    records: () =>
      text()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line)),
    async deploy(options) {
      const hostName = `w${++next}.test`
      const { workloads } = parseManifest(manifest(options, hostName), {
        file: 'test.yaml',
        baseDirectory: '/',
        isFile: () => true,
      })
      const handle = await host.deploy(workloads[0]!, { signal: AbortSignal.timeout(120_000) })
      return {
        handle,
        async get(path, query = {}) {
          const search = Object.entries(query).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
          const url = `http://127.0.0.1:${ingress.address.port}${path}${search.length > 0 ? `?${search.join('&')}` : ''}`
          const { status, text } = await httpCall(url, { host: hostName })
          return { status, text }
        },
        send: (method, path, body, options = {}) => send(ingress.address.port, hostName, method, path, body, options),
        [Symbol.asyncDispose]: () => handle.stop(),
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function send(
  port: number,
  host: string,
  method: string,
  path: string,
  body: Uint8Array | string | undefined,
  { headers: more, ...options }: SendOptions,
): Promise<SentAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<SentAnswer>()
  const headers = { host, ...more, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) }
  const outgoing = request({ ...options, host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk) => chunks.push(chunk)).on('error', reject)
    response.on('end', () => {
      const bytes = Buffer.concat(chunks)
      resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, text: bytes.toString() })
    })
  })
  outgoing.on('error', reject).end(body)
  return promise
}

function manifest(
  {
    component,
    beside = [],
    interfaces = [],
    config = {},
    namespace = 'shop',
    name = component,
    replicas = 1,
    poolSize = 2,
  }: HouseWorkload,
  hostName: string,
): string {
  return `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  replicas: ${replicas}
  template:
    spec:
      components:
      - name: ${component}
        image: file:///${component}
        poolSize: ${poolSize}
        localResources: {config: ${JSON.stringify(config)}}
${beside.map((each) => `      - {name: ${each}, image: "file:///${each}", poolSize: ${poolSize}}\n`).join('')}\
      hostInterfaces:
      - {namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: ${hostName}}}
${interfaces.map((entry) => `      - ${entry}\n`).join('')}`
}
