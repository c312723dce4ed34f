import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildComponents } from '../../scripts/build-components.ts'
import { createIdentityCapability } from '../../src/capabilities/identity/identity-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createEngine } from '../../src/engine/create-engine.ts'
import { defaultLimits } from '../../src/engine/default-limits.ts'
import type { Cell, ComponentDescription } from '../../src/engine/engine.ts'
import { createDevelopmentAuthority } from '../../src/identity/development/development-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { createIngress } from '../../src/ingress/create-ingress.ts'
import { createLog } from '../../src/observability/log.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'
import { startLog } from '../support/log.ts'

export type Deployment = {
  readonly environment?: Record<string, string>
  readonly args?: readonly string[]
  readonly allowedHosts?: readonly string[]
  /** The allow-list of the identity capability. Default: `sts.amazonaws.com`. */
  readonly audiences?: string
  readonly poolSize?: number
}

export type ComponentHouse = AsyncDisposable & {
  /** Of the development authority. */
  readonly issuer: string
  /** Everything the house logged, and what components wrote. */
  logText(): string
  inspect(name: string): Promise<ComponentDescription>
  /** Runs a component of components/ in a cell of its own. Requests to `url` reach it. */
  deploy(
    name: string,
    deployment?: Deployment,
  ): Promise<{ readonly cell: Cell; readonly url: string; readonly output: readonly string[] }>
}

/** The real rooms of a host, from the ingress to the development authority, without manifests and the workload's state machine. */
export async function openComponentHouse(): Promise<ComponentHouse> {
  const { append, text } = startLog('component-house')
  const log = createLog({ level: 'debug', destination: { write: append } })
  const clock = systemClock
  await using cleanup = new AsyncDisposableStack()
  const authority = cleanup.use(await createDevelopmentAuthority({ log, clock, inKubernetes: false }))
  const svids = cleanup.use(createSvidSource({ authority, clock, log }))
  const identity = cleanup.use(createIdentityCapability({ svids, log, clock }))
  await identity.start({ signal: AbortSignal.timeout(5000) })
  // What did not change since the last run is not transpiled again.
  const cacheDir = join(import.meta.dirname, '..', '..', 'build', 'transpiled')
  const engine = cleanup.use(createEngine({ log, clock, cacheDir }))
  const owned = cleanup.move()

  async function load(name: string): Promise<Uint8Array> {
    const built = await buildComponents([name], { log: append })
    return readFile(built.get(name)!)
  }

  const described = new Map<string, Promise<ComponentDescription>>()
  const inspect = (name: string): Promise<ComponentDescription> => {
    const description = described.get(name) ?? load(name).then((bytes) => engine.inspect(bytes))
    described.set(name, description)
    return description
  }

  return {
    issuer: authority.issuer,
    logText: text,
    inspect,
    async deploy(
      name,
      { environment = {}, args = [], allowedHosts = [], audiences = 'sts.amazonaws.com', poolSize = 2 } = {},
    ) {
      const bytes = await load(name)
      const { imports, exports } = await inspect(name)
      const signal = AbortSignal.timeout(60_000)
      const wantsIdentity = imports.some((wit) => identity.interfaces.includes(wit.name))
      const facts = componentFacts({ componentName: name, workloadName: name })
      const entry = {
        namespace: 'wasmcloud',
        package: 'identity',
        interfaces: ['store'],
        version: '0.0.1',
        name: undefined,
      }
      const bindings = wantsIdentity
        ? [await identity.configure(facts, [{ ...entry, config: { audiences } }], { signal })]
        : []
      const component = {
        ...{ name, bytes, environment, args, allowedHosts, bindings },
        limits: { ...defaultLimits, poolSize },
        allowedIpNameLookups: [],
        allowedHostLoopbackPorts: [],
        preopens: [],
        capabilityInterfaces: identity.interfaces,
        capabilityWaits: identity.waits,
      }
      const cell = owned.use(
        await engine.startCell({ name, workloadId: name, components: [component], deniedAddresses: [] }, { signal }),
      )
      const output: string[] = []
      cell.onOutput((line) => {
        output.push(line.text)
        append(`${line.text}\n`)
      })
      let url = ''
      if (exports.some((wit) => wit.name.startsWith('wasi:http/incoming-handler'))) {
        const ingress = owned.use(await createIngress({ log, host: '127.0.0.1', port: 0 }))
        owned.use(ingress.route({ hosts: '*', cell, component: name }))
        url = `http://127.0.0.1:${ingress.address.port}`
      }
      return { cell, url, output }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
