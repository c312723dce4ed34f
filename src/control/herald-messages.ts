import { auditEvent } from './herald-audit-event.ts'
import { hostHeartbeat, type workload, workloadState } from './messages.ts'
import {
  type Decoded,
  enumeration,
  flag,
  message,
  optional,
  repeated,
  text,
  textMap,
  timestamp,
  uint32,
  uint64,
} from './proto-json.ts'

// Herald's own messages, beside upstream's: docs/decisions/asking-hosts.md. ProtoJSON as those are; a later version may only add fields, and
// readers of another version are told so by the unknown field.

/** Answer to `herald.hosts`. */
export const heraldHost = message({
  heartbeat: optional(hostHeartbeat),
  /** False once the host drains. */
  acceptsWork: flag,
  /** Whether it takes `file://` images over the lattice: a host that `herald up` started, of files of its own machine. */
  acceptsFiles: flag,
  /** Where it serves HTTP as seen from its own machine: `http://127.0.0.1:8000`. */
  url: text,
})

const heraldComponent = message({
  name: text,
  image: text,
  imageDigest: text,
  /** `http`, `run` or `service`. */
  role: text,
  /** Names it answers to over HTTP; `*` is every one. */
  httpHosts: repeated(text),
  /** Where it listens itself, as URLs. */
  listens: repeated(text),
  /** It may ask tokens for these. */
  audiences: repeated(text),
})

export const heraldWorkload = message({
  workloadId: text,
  namespace: text,
  name: text,
  state: workloadState,
  /** For a person; empty when there is nothing to say. */
  message: text,
  since: timestamp,
  cells: uint32,
  /** Of these: without a thread for now, because nobody needs them. */
  parked: uint32,
  /** What each of them may use of a processor, thousandths; 0: as much as there is. */
  cpuLimit: uint32,
  /** How long they have slept for it, ms, modulo 2³². */
  throttledMs: uint32,
  annotations: textMap,
  /** Of its cells: `thread` or `process`. */
  isolation: text,
  components: repeated(heraldComponent),
})

/** Question and answer of `workloads`. */
export const inventoryRequest = message({})
export const inventory = message({
  workloads: repeated(heraldWorkload, 100_000),
  /** There are more than one message can hold. */
  truncated: flag,
})

/** Of `workload.copy`; the answer is that of the other host's `workload.start`. */
export const copyRequest = message({
  workloadId: text,
  /** The host that is to start it too. */
  toHostId: text,
  newWorkloadId: text,
})

export const drainRequest = message({})
export const drainAnswer = message({ draining: flag })

/** Of `logs`: for `leaseMs` lines are sent to `herald.logs.<reader>`; asking again renews it. */
export const logsRequest = message({ reader: text, workloadId: text, leaseMs: uint32 })
export const logsAnswer = message({ leaseMs: uint32 })
export const logLine = message({
  hostId: text,
  workloadId: text,
  workload: text,
  component: text,
  /** `stdout` or `stderr`; empty for what the host says of the workload. */
  stream: text,
  text,
  at: timestamp,
})

/** Answer to `herald.callouts`. */
export const heraldCallout = message({ id: text, name: text })

/** Of `audit`: what a host, or a callout service, remembers of the last events; see docs/audit.md. */
export const auditRequest = message({ since: timestamp })
export const auditAnswer = message({
  /** Oldest first. */
  events: repeated(auditEvent, 10_000),
  /** There were more since then than are remembered, or than one message can hold. */
  truncated: flag,
})

/** Of `activity`: what the workloads of a host have done so far, in numbers. */
export const activityRequest = message({})
const workloadActivity = message({
  workloadId: text,
  requests: uint64,
  failures: uint64,
  traps: uint64,
  restarts: uint64,
  egressRefusals: uint64,
  inFlight: uint32,
  instances: uint32,
  edges: repeated(
    message({
      component: text,
      /** See `ActivityEdge`. */
      kind: enumeration([
        ...(['EDGE_AUDIENCE', 'EDGE_ORIGIN', 'EDGE_HOST', 'EDGE_COMPONENT', 'EDGE_PUBLISHED', 'EDGE_HANDLED'] as const),
      ]),
      target: text,
      count: uint64,
      refused: uint64,
      spiffeId: text,
      lastAt: timestamp,
    }),
  ),
})
export const activityAnswer = message({ workloads: repeated(workloadActivity, 100_000), truncated: flag })

export type WorkloadActivity = Decoded<typeof workloadActivity>
/** Of `call`: `args` are JSON, one for each parameter of the function; `timeoutMs` 0 is 30 s. */
export const callRequest = message({
  workloadId: text,
  interface: text,
  function: text,
  args: repeated(text),
  timeoutMs: uint32,
})
/** What the function gave, as JSON; `isErr`: the `err` of its result. */
export const callAnswer = message({ json: text, isErr: flag })

export type HeraldHost = Decoded<typeof heraldHost>
export type HeraldWorkload = Decoded<typeof heraldWorkload>
export type HeraldComponent = Decoded<typeof heraldComponent>
export type LogLine = Decoded<typeof logLine>
export type WireWorkloadMessage = Decoded<typeof workload>
