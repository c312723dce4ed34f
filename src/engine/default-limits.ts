import type { ComponentLimits } from './engine.ts'

export const defaultLimits: ComponentLimits = {
  memoryLimitMb: 256,
  poolSize: 8,
  maxInvocations: 0,
  requestTimeoutMs: 30_000,
  maxBodyBytes: 64 * 1024 * 1024,
  watchdogMs: 2_000,
  maxInstances: 64,
}
