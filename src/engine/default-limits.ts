import type { ComponentLimits } from './engine.ts'

/** `poolSize` 0 is upstream's meaning of an unset one: a fresh instance per call, so nothing of one call is left to the next. */
export const defaultLimits: ComponentLimits = {
  memoryLimitMb: 256,
  poolSize: 0,
  maxInvocations: 0,
  requestTimeoutMs: 30_000,
  maxBodyBytes: 64 * 1024 * 1024,
  watchdogMs: 2_000,
  maxInstances: 64,
}
