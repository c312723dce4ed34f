/** What a metric counts or measures, as in OpenTelemetry: names are its conventions' where there is one, else `herald.*`. */
export type MetricDefinition = {
  /** `counter` only rises while its series lives; `gauge` is a present value; `histogram` a distribution. */
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** UCUM: `s`, `By`, `1` (a ratio), `{request}` (a count of something), empty for yes or no. */
  readonly unit: string
  readonly description: string
  /** Attribute → what its values are. None ever holds what a guest or a client chose freely. */
  readonly attributes?: Readonly<Record<string, string>>
}

const workload = {
  'herald.workload.namespace': 'namespace of the workload',
  'herald.workload.name': 'name of the workload; its series ends with it',
}
const errorType = { 'error.type': 'the ERR_ code; absent when it succeeded' }
const thread = { 'herald.thread': '`control`, or `ingress-0` and so on' }

/** Every metric of a host, and of the callout service. docs/metrics.md is made from it, and nothing can be recorded that is not here. */
export const metricCatalog = {
  'http.server.request.duration': {
    kind: 'histogram',
    unit: 's',
    description:
      'Time from the head of a request to the end of its response, at the ingress or at an address of the workload itself.',
    attributes: {
      'http.request.method': 'a method of RFC 9110, PATCH, or `_OTHER`',
      'http.response.status_code': 'as sent; 499 when the client left before the answer began',
      'url.scheme': '`http`',
    },
  },
  'http.server.active_requests': {
    kind: 'gauge',
    unit: '{request}',
    description: 'Requests in flight at the ingress, or at an address of the workload itself.',
    attributes: { 'url.scheme': '`http`' },
  },
  'herald.ingress.connections': { kind: 'gauge', unit: '{connection}', description: 'Open connections of clients.' },

  'herald.workload.count': {
    kind: 'gauge',
    unit: '{workload}',
    description: 'Workloads on this host.',
    attributes: {
      'herald.workload.state': '`starting`, `running`, `completed`, `stopping`, `stopped` or `failed`',
    },
  },
  'herald.cell.requests': {
    kind: 'counter',
    unit: '{request}',
    description: 'HTTP requests that reached a component of the workload.',
    attributes: workload,
  },
  'herald.cell.failures': {
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that a component did not finish: it trapped, was too slow, or gave no whole answer.',
    attributes: workload,
  },
  'herald.cell.traps': {
    kind: 'counter',
    unit: '{trap}',
    description: 'Calls that ended in a trap; the instance is thrown away.',
    attributes: workload,
  },
  'herald.cell.restarts': {
    kind: 'counter',
    unit: '{restart}',
    description: 'Restarts of cells of the workload, for whatever reason.',
    attributes: workload,
  },
  'herald.cell.watchdog_kills': {
    kind: 'counter',
    unit: '{kill}',
    description: 'Cells ended because a guest computed without yielding.',
    attributes: workload,
  },
  'herald.cell.egress_refusals': {
    kind: 'counter',
    unit: '{refusal}',
    description: 'Outgoing requests, connections and look-ups of names that policy refused; the log names the targets.',
    attributes: workload,
  },
  'herald.cell.cpu_time': {
    kind: 'counter',
    unit: 's',
    description:
      'Processor time of the threads of the workload, those that have ended too, up to the last time their event loops turned.',
    attributes: workload,
  },
  'herald.cell.cpu_limit': {
    kind: 'gauge',
    unit: '{cpu}',
    description: 'What the cells of the workload may use of processors together (`cpu-limit`); 0: as much as there is.',
    attributes: workload,
  },
  'herald.cell.cpu_throttled_time': {
    kind: 'counter',
    unit: 's',
    description:
      'How long threads of the workload have slept because it had used more of the processor than its limit.',
    attributes: workload,
  },
  'herald.cell.cpu_refusals': {
    kind: 'counter',
    unit: '{request}',
    description: 'Requests answered 503 for the same reason, too many of them waiting already.',
    attributes: workload,
  },
  'herald.cell.handle_limits': {
    kind: 'counter',
    unit: '{call}',
    description: 'Calls that ended because the guest held too many handles of one resource type at a time (4,096).',
    attributes: workload,
  },
  'herald.cell.active_requests': {
    kind: 'gauge',
    unit: '{request}',
    description: 'Requests inside the cells of the workload.',
    attributes: workload,
  },
  'herald.cell.instances': {
    kind: 'gauge',
    unit: '{instance}',
    description: 'Live instances of the components of the workload.',
    attributes: workload,
  },
  'herald.cell.parked': {
    kind: 'gauge',
    unit: '{cell}',
    description: 'Cells of the workload that have no thread for now, because nobody needs them.',
    attributes: workload,
  },
  'herald.cell.processes': {
    kind: 'gauge',
    unit: '{process}',
    description: 'Processes of the operating system that cells of the workload have for themselves.',
    attributes: workload,
  },
  'herald.cell.wakes': {
    kind: 'counter',
    unit: '{wake}',
    description: 'Times a cell of the workload got a thread again because it was needed.',
    attributes: workload,
  },

  'herald.svid.cached': { kind: 'gauge', unit: '{svid}', description: 'JWT-SVIDs held that may be handed out now.' },
  'herald.svid.fetch.duration': {
    kind: 'histogram',
    unit: 's',
    description:
      'Time of a fetch of JWT-SVIDs from SPIRE, retries while it cannot be reached included; its count is that of the fetches.',
    attributes: errorType,
  },
  'herald.identity.deliveries': {
    kind: 'counter',
    unit: '{delivery}',
    description: 'Tokens handed to components, those from memory included (counted within ten seconds).',
  },
  'herald.identity.refusals': {
    kind: 'counter',
    unit: '{refusal}',
    description: 'Requests of components for tokens that were refused.',
    attributes: { 'error.type': 'the ERR_ code' },
  },
  'herald.svid.renewals': {
    kind: 'counter',
    unit: '{renewal}',
    description: 'JWT-SVIDs replaced by newer ones in the background.',
  },
  'herald.svid.evictions': {
    kind: 'counter',
    unit: '{eviction}',
    description: 'JWT-SVIDs given up before their end.',
    attributes: {
      'herald.svid.eviction.reason':
        '`entry-gone`: the entry was deleted · `denied`: SPIRE refused when asked again · `capacity`: too many were held',
    },
  },
  'herald.credentials.exchanges': {
    kind: 'counter',
    unit: '{exchange}',
    description: 'JWT-SVIDs traded for credentials, renewals included.',
    attributes: { 'herald.credentials.provider': '`aws`, `gcp`, `azure`, `vault`, `oidc` or `jwt-svid`' },
  },
  'herald.credentials.refusals': {
    kind: 'counter',
    unit: '{refusal}',
    description: 'Requests of components for credentials that were refused or failed.',
    attributes: { 'error.type': 'the ERR_ code, or `unknown-binding`' },
  },
  'herald.credentials.evictions': {
    kind: 'counter',
    unit: '{eviction}',
    description: 'Credentials given up before their end, with the identity they were obtained with.',
  },
  'herald.egress.signed': {
    kind: 'counter',
    unit: '{request}',
    description: 'Outgoing requests that the host signed (counted within ten seconds).',
    attributes: { 'herald.egress.method': '`bearer` or `sigv4`' },
  },
  'herald.egress.refusals': {
    kind: 'counter',
    unit: '{refusal}',
    description:
      'Outgoing requests that the host was to sign and did not, so that they were not sent. One that brought a credential of its own is among `herald.cell.egress_refusals` instead.',
    attributes: { 'error.type': 'the ERR_ code' },
  },
  'herald.egress.rejections': {
    kind: 'counter',
    unit: '{rejection}',
    description: 'Times what was signed was answered 401, and the credentials were given up.',
    attributes: { 'herald.egress.method': '`bearer` or `sigv4`' },
  },
  'herald.audit.published': {
    kind: 'counter',
    unit: '{event}',
    description: 'Audit events sent to NATS.',
  },
  'herald.audit.dropped': {
    kind: 'counter',
    unit: '{event}',
    description:
      'Audit events that were not sent to NATS: it was down or slow for longer than the queue lasts, or refused them. The log of the host has them.',
  },
  'herald.telemetry.dropped': {
    kind: 'counter',
    unit: '{record}',
    description:
      'Spans and log records that were not sent, because the collector was slow or away; absent without one.',
  },
  'herald.spire.ready': {
    kind: 'gauge',
    unit: '',
    description: 'Whether the authority last answered: 1 or 0.',
  },

  'herald.lattice.connected': {
    kind: 'gauge',
    unit: '',
    description: 'Whether NATS is connected: 1 or 0; absent without --nats.',
  },
  'herald.lattice.reconnects': {
    kind: 'counter',
    unit: '{reconnect}',
    description: 'Times NATS was connected again after it had been lost.',
  },

  'herald.callout.grants': {
    kind: 'counter',
    unit: '{client}',
    description: 'Clients of NATS that herald nats-callout let in.',
    attributes: { 'herald.callout.shown': '`jwt` or `x509`' },
  },
  'herald.callout.refusals': {
    kind: 'counter',
    unit: '{client}',
    description: 'Clients of NATS that it refused.',
    attributes: { 'error.type': 'the ERR_ code' },
  },
  'herald.callout.ended': {
    kind: 'counter',
    unit: '{connection}',
    description: 'Connections to NATS that it had ended, since their entries in SPIRE were deleted.',
  },

  'nodejs.eventloop.delay.p50': {
    kind: 'gauge',
    unit: 's',
    description: 'Median delay of an event loop since the last scrape.',
    attributes: thread,
  },
  'nodejs.eventloop.delay.p99': {
    kind: 'gauge',
    unit: 's',
    description: '99th percentile of that delay.',
    attributes: thread,
  },
  'nodejs.eventloop.delay.max': {
    kind: 'gauge',
    unit: 's',
    description: 'Longest of those delays.',
    attributes: thread,
  },
  'nodejs.eventloop.utilization': {
    kind: 'gauge',
    unit: '1',
    description: 'Share of the time since the last scrape that an event loop was busy.',
    attributes: thread,
  },
  'process.memory.usage': { kind: 'gauge', unit: 'By', description: 'Resident memory of the process, all threads.' },
  'v8js.memory.heap.used': {
    kind: 'gauge',
    unit: 'By',
    description: 'JavaScript heap of the control thread in use.',
    attributes: { 'v8js.heap.space.name': "V8's names of its spaces" },
  },
  'process.cpu.time': {
    kind: 'counter',
    unit: 's',
    description: 'Processor time of the process, all threads.',
    attributes: { 'cpu.mode': '`user` or `system`' },
  },
  'process.uptime': { kind: 'gauge', unit: 's', description: 'Age of the process.' },
} as const satisfies Readonly<Record<string, MetricDefinition>>

export type MetricName = keyof typeof metricCatalog

/** Upper bounds of the buckets of durations, seconds; those of OpenTelemetry's HTTP conventions, and 1 ms and 2 ms below. */
export const durationBoundsS: readonly number[] = [
  0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]
