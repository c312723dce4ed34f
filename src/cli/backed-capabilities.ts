import type { Capability } from '../capabilities/capability.ts'
import { createConfigCapability } from '../capabilities/config/config-capability.ts'
import { createLoggingCapability } from '../capabilities/logging/logging-capability.ts'
import type { Log } from '../observability/log.ts'

export type BackedCapabilitiesOptions = {
  readonly log: Log
}

/** What a host serves beside WASI and identity. Disposal ends them, last first. */
export function createBackedCapabilities({
  log,
}: BackedCapabilitiesOptions): AsyncDisposable & { readonly all: readonly Capability[] } {
  const stack = new AsyncDisposableStack()
  const all = [createConfigCapability(), createLoggingCapability({ log })]
  for (const capability of all) stack.use(capability)
  return { all, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
