import { defaultLimits } from '../src/engine/default-limits.ts'
import type { CellSpec, ComponentLimits, ComponentSpec } from '../src/engine/engine.ts'

/** A cell of one component that is given nothing. */
export function benchCell(
  name: string,
  bytes: Uint8Array,
  limits: Partial<ComponentLimits> = {},
  rest: Partial<ComponentSpec> = {},
): CellSpec {
  return {
    name,
    workloadId: name,
    deniedAddresses: [],
    components: [
      {
        name: 'guest',
        bytes,
        limits: { ...defaultLimits, ...limits },
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
      },
    ],
  }
}
