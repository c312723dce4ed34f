import { systemClock } from '../../src/clock/clock.ts'
import { createEngine, type EngineOptions } from '../../src/engine/create-engine.ts'
import { defaultLimits } from '../../src/engine/default-limits.ts'
import type { Cell, CellIsolation, CellSpec, ComponentLimits, ComponentSpec } from '../../src/engine/engine.ts'
import { createIngress } from '../../src/ingress/create-ingress.ts'
import type { Ingress } from '../../src/ingress/ingress.ts'
import { createLog } from '../../src/observability/log.ts'

export const log = createLog({ level: 'silent' })

export function component(
  bytes: Uint8Array,
  limits: Partial<ComponentLimits> = {},
  rest: Partial<ComponentSpec> = {},
): ComponentSpec {
  return {
    name: 'guest',
    bytes,
    limits: { ...defaultLimits, poolSize: 2, ...limits },
    environment: {},
    args: [],
    allowedHosts: [],
    allowedIpNameLookups: [],
    allowedHostLoopbackPorts: [],
    preopens: [],
    bindings: [],
    capabilityInterfaces: [],
    capabilityWaits: [],
    ...rest,
  }
}

export function cellSpec(...components: ComponentSpec[]): CellSpec {
  return { name: 'test', workloadId: 'test', components, deniedAddresses: [] }
}

/** Everything that a cell promises holds in both. */
export const isolations: readonly CellIsolation[] = ['thread', 'process']

export const signal = (): AbortSignal => AbortSignal.timeout(60_000)

/** An engine for one test file. */
export function testEngine(options: Partial<EngineOptions> = {}) {
  return createEngine({ log, clock: systemClock, ...options })
}

/** An ingress on a free port of 127.0.0.1 with the cell's `guest` as every host. */
export async function serve(cell: Cell): Promise<Ingress & { url: string }> {
  const ingress = await createIngress({ log, host: '127.0.0.1', port: 0 })
  ingress.route({ hosts: '*', cell, component: 'guest' })
  return Object.assign(ingress, { url: `http://127.0.0.1:${ingress.address.port}` })
}
