import {
  type Decoded,
  enumeration,
  flag,
  float,
  int32,
  message,
  optional,
  repeated,
  text,
  textMap,
  timestamp,
  uint32,
  uint64,
} from './proto-json.ts'

// The messages of wasmcloud.runtime.v2 by their fields; see proto/wasmcloud/runtime/v2 upstream.

export const imagePullPolicy = enumeration([
  'IMAGE_PULL_POLICY_UNSPECIFIED',
  'IMAGE_PULL_POLICY_ALWAYS',
  'IMAGE_PULL_POLICY_IF_NOT_PRESENT',
  'IMAGE_PULL_POLICY_NEVER',
])

export const workloadState = enumeration([
  'WORKLOAD_STATE_UNSPECIFIED',
  'WORKLOAD_STATE_STARTING',
  'WORKLOAD_STATE_RUNNING',
  'WORKLOAD_STATE_COMPLETED',
  'WORKLOAD_STATE_STOPPING',
  'WORKLOAD_STATE_ERROR',
  'WORKLOAD_STATE_NOT_FOUND',
])

const imagePullSecret = message({ username: text, password: text })

const localResources = message({
  memoryLimitMb: int32,
  cpuLimit: int32,
  config: textMap,
  environment: textMap,
  volumeMounts: repeated(message({ name: text, mountPath: text, readOnly: flag })),
  allowedHosts: repeated(text),
  allowedIpNameLookups: repeated(text),
  allowedHostLoopbackPorts: repeated(text),
})

export const witInterface = message({
  namespace: text,
  package: text,
  version: text,
  interfaces: repeated(text),
  config: textMap,
  name: text,
})

const component = message({
  name: text,
  image: text,
  localResources: optional(localResources),
  poolSize: int32,
  maxInvocations: int32,
  maxConcurrency: int32,
  imagePullSecret: optional(imagePullSecret),
  imagePullPolicy,
})

const service = message({
  image: text,
  localResources: optional(localResources),
  maxRestarts: uint64,
  imagePullSecret: optional(imagePullSecret),
  imagePullPolicy,
})

const volume = message({
  name: text,
  hostPath: optional(message({ localPath: text })),
  emptyDir: optional(message({})),
})

export const workload = message({
  namespace: text,
  name: text,
  annotations: textMap,
  service: optional(service),
  witWorld: optional(message({ components: repeated(component), hostInterfaces: repeated(witInterface) })),
  volumes: repeated(volume),
})

export const workloadStatus = message({ workloadId: text, workloadState, message: text })

export const workloadStartRequest = message({ workloadId: text, workload: optional(workload) })
export const workloadStatusRequest = message({ workloadId: text })
export const workloadStopRequest = message({ workloadId: text })
/** Start, status and stop are answered alike. */
export const workloadResponse = message({ workloadStatus: optional(workloadStatus) })

/** The operator asks for a heartbeat with `{}`. */
export const heartbeatRequest = message({})

export const hostHeartbeat = message({
  id: text,
  hostname: text,
  friendlyName: text,
  version: text,
  labels: textMap,
  startedAt: timestamp,
  osArch: text,
  osName: text,
  osKernel: text,
  systemCpuUsage: float,
  systemMemoryTotal: uint64,
  systemMemoryFree: uint64,
  componentCount: uint64,
  workloadCount: uint64,
  imports: repeated(witInterface),
  exports: repeated(witInterface),
  httpPort: uint32,
  environment: text,
})

export type WireWorkload = Decoded<typeof workload>
export type WireComponent = Decoded<typeof component>
export type WireWitInterface = Decoded<typeof witInterface>
export type WireWorkloadState = Decoded<typeof workloadState>
export type WireWorkloadStatus = Decoded<typeof workloadStatus>
export type WirePullSecret = Decoded<typeof imagePullSecret>
export type HostHeartbeat = Decoded<typeof hostHeartbeat>
