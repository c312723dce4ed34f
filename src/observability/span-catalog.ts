/** What a span is made of, as in OpenTelemetry: names and attributes are its conventions' where there is one, else `herald.*`. */
export type SpanDefinition = {
  /** As written in the documentation; default: its key. */
  readonly shown?: string
  readonly kind: 'server' | 'client' | 'producer' | 'consumer' | 'internal'
  readonly when: string
  readonly parent: string
  /** Attribute → what its values are. None ever holds a token, a path, a query, a body, or what a guest or a client chose freely. */
  readonly attributes: Readonly<Record<string, string>>
}

const workload = {
  'herald.workload.namespace': 'namespace of the workload',
  'herald.workload.name': 'name of the workload',
}
const component = { ...workload, 'herald.component.name': 'name of the component' }
const errorType = { 'error.type': 'why it failed: an ERR_ code' }
const http = {
  'http.request.method': 'a method of RFC 9110, PATCH, or `_OTHER`',
  'http.response.status_code': 'as sent; 499 when the client left before',
  'url.scheme': '`http` or `https`',
  'server.address': 'the host asked for, never a path',
  'error.type': 'the status: of an answer from 500 on, to a client from 400 on; or `no-answer`',
}
const messaging = {
  'messaging.system': '`nats`',
  'messaging.operation.type': '`send`, or `process`',
  'messaging.destination.template': "the pattern of the workload's hostInterfaces entry that the subject is of",
}
const current = 'the call of the guest that it belongs to; none in the background'

/** Every span of a host. docs/telemetry.md is made from it, and nothing can be told that is not here. */
export const spanCatalog = {
  'http.server': {
    shown: 'GET',
    kind: 'server',
    when: 'a request that a workload gets, at the ingress or at an address of its own, to the end of its response',
    parent: "the caller's, by `traceparent`",
    attributes: http,
  },
  'http.client': {
    shown: 'GET',
    kind: 'client',
    when: 'a request of a component, to the head of its response',
    parent: 'the call that it answers; without one there is no span',
    attributes: http,
  },
  'messaging.publish': {
    shown: 'send PATTERN',
    kind: 'producer',
    when: 'a component publishes a message; answers are left out',
    parent: 'the call that it answers',
    attributes: { ...messaging, ...component, ...errorType },
  },
  'messaging.request': {
    shown: 'request PATTERN',
    kind: 'client',
    when: 'a component asks and waits for the answer',
    parent: 'the call that it answers',
    attributes: { ...messaging, ...component, ...errorType },
  },
  'messaging.process': {
    shown: 'process PATTERN',
    kind: 'consumer',
    when: 'a component handles a message, from when it is handed over',
    parent: "the sender's, by the headers of the message",
    attributes: { ...messaging, 'messaging.consumer.group.name': 'the queue group', ...component, ...errorType },
  },
  'call.client': {
    shown: 'INTERFACE/FUNCTION',
    kind: 'client',
    when: 'a component calls one of another workload',
    parent: 'the call that it answers',
    attributes: {
      'rpc.method': 'interface and function',
      'herald.callee': 'SPIFFE ID of the one called',
      ...component,
      'error.type': 'why there is no result: `busy`, `deadline`, `failed` or `cancelled`',
    },
  },
  'call.server': {
    shown: 'INTERFACE/FUNCTION',
    kind: 'server',
    when: 'a component is called from another workload, once its caller is known',
    parent: "the caller's, by the headers of the message",
    attributes: {
      'rpc.method': 'interface and function',
      'herald.caller': 'SPIFFE ID of the caller, verified',
      ...component,
      'error.type': 'why there is no result: `failed`, `deadline`, `cancelled` and so on',
    },
  },
  'herald.token.get': {
    kind: 'internal',
    when: "a token that the cell does not hold, and each refusal (an audience that is not allowed: the first time); gets from the cell's memory make none",
    parent: 'the call of the guest that it belongs to',
    attributes: { ...component, 'herald.audience': 'the audience, if it is one of the workload', ...errorType },
  },
  'herald.svid.fetch': {
    kind: 'client',
    when: 'a fetch of JWT-SVIDs from SPIRE',
    parent: current,
    attributes: { 'herald.audiences': 'the audiences', ...errorType },
  },
  'herald.credentials.exchange': {
    kind: 'client',
    when: 'an identity is traded for credentials: STS, GCP, Azure, Vault, RFC 8693',
    parent: current,
    attributes: {
      ...component,
      'herald.binding': 'name of the binding, or of the entry of `herald:egress`',
      'herald.credentials.provider': '`aws`, `gcp`, `azure`, `vault` or `oidc`',
      ...errorType,
    },
  },
  'herald.egress.sign': {
    kind: 'internal',
    when: 'an outgoing request is signed',
    parent: 'the client span of the request',
    attributes: {
      ...component,
      'herald.egress.entry': "name of the workload's entry",
      'herald.egress.method': '`bearer`, `sigv4` or `client-certificate`',
      'server.address': 'host and port of the origin',
      ...errorType,
    },
  },
  'herald.workload.start': {
    kind: 'internal',
    when: 'a workload is started, until it serves',
    parent: 'none',
    attributes: { ...workload, ...errorType },
  },
  'herald.image.pull': {
    kind: 'client',
    when: 'the image of a component is had, from the registry or the cache, and checked against its digest',
    parent: '`herald.workload.start`',
    attributes: { ...component, 'herald.image.digest': 'digest of what came', ...errorType },
  },
  'herald.component.compile': {
    kind: 'internal',
    when: 'a component is made ready to run: transpiled and compiled, or had from the cache',
    parent: '`herald.workload.start`',
    attributes: { ...component, ...errorType },
  },
  'herald.cell.start': {
    kind: 'internal',
    when: 'the thread of a cell starts, until it takes calls',
    parent: '`herald.workload.start`; none for a restart, or when a call wakes it',
    attributes: { ...workload, 'herald.cell.cause': '`start`, `restart` or `wake`', ...errorType },
  },
  'herald.cell.park': {
    kind: 'internal',
    when: 'the thread of an idle cell is ended',
    parent: 'none',
    attributes: workload,
  },
} as const satisfies Record<string, SpanDefinition>

export type SpanType = keyof typeof spanCatalog

export type SpanValue = string | number | readonly string[]

/** Those of the catalog, and no others. */
export type SpanAttributes<Type extends SpanType> = {
  readonly [Name in keyof (typeof spanCatalog)[Type]['attributes']]?: SpanValue | undefined
}
