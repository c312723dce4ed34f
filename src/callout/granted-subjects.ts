import { HeraldError } from '../errors/herald-error.ts'
import { inboxPrefixOf } from '../lattice/subjects.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

/** What a grant says, with `{name}` where a segment of the SPIFFE ID goes. */
export type GrantedSubjects = {
  readonly role: 'host' | 'operator' | 'callout' | 'workload'
  /** `*` for any. */
  readonly hostId: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** Buckets of JetStream that it may read, write and make. */
  readonly keyvalue: readonly string[]
  /** The same of objects; and these it may delete. */
  readonly blobstore: readonly string[]
}

/**
 * A subject of a policy. Nobody is granted everything, NATS's own system subjects, or inboxes beside its own.
 * @throws ERR_CALLOUT_POLICY_INVALID
 */
export function parseGrantSubject(text: string, names: ReadonlySet<string>): string {
  const refuse = (why: string): never => {
    throw new HeraldError('ERR_CALLOUT_POLICY_INVALID', `the subject ${JSON.stringify(text.slice(0, 100))} ${why}`)
  }
  const tokens = text.split('.')
  for (const [index, token] of tokens.entries()) {
    const name = /^\{(.*)\}$/.exec(token)?.[1]
    if (name !== undefined) {
      if (!names.has(name)) refuse(`names {${name}}, which the SPIFFE ID does not have`)
    } else if (token === '*' || (token === '>' && index === tokens.length - 1)) {
      if (index === 0 && tokens.length > 1) refuse('begins with a wildcard: it reaches subjects of NATS itself')
      if (index === 0) refuse('is everything')
    } else if (!/^[A-Za-z0-9_$/:=+~-]+$/.test(token)) refuse('cannot be used')
  }
  if (/^(\$SYS|_INBOX)(\.|$)/.test(text)) refuse('is not a policy’s to grant')
  return text
}

/** As NATS is told them. */
export function subjectsOf(
  { role, hostId, ...granted }: GrantedSubjects,
  captured: ReadonlyMap<string, string>,
  spiffeId: SpiffeId,
): { readonly publish: readonly string[]; readonly subscribe: readonly string[]; readonly answers: boolean } {
  const filled = (subject: string): string => subject.replace(/\{([^{}]+)\}/g, (_, name: string) => captured.get(name)!)
  const id = filled(hostId)
  const ofRole = roles[role](id)
  const buckets = [
    ...granted.keyvalue.map(filled).flatMap(bucketSubjects),
    ...granted.blobstore.map(filled).flatMap(objectBucketSubjects),
  ]
  return {
    publish: [...ofRole.publish, ...granted.publish.map(filled), ...new Set(buckets)],
    subscribe: [...ofRole.subscribe, ...granted.subscribe.map(filled), `${inboxPrefixOf(spiffeId)}.>`],
    answers: ofRole.subscribe.length + granted.subscribe.length > 0,
  }
}

type Subjects = { readonly publish: readonly string[]; readonly subscribe: readonly string[] }

/** The subjects of src/lattice/subjects.ts, and of nothing else. */
const roles: Readonly<Record<GrantedSubjects['role'], (hostId: string) => Subjects>> = {
  host: (hostId) => ({
    publish: [
      `runtime.operator.heartbeat.${hostId}`,
      'herald.logs.*',
      `herald.audit.${hostId}.>`,
      // A workload is handed on from host to host: herald deploy.
      'runtime.host.*.workload.start',
    ],
    subscribe: [`runtime.host.${hostId}.>`, `herald.host.${hostId}.>`, 'herald.hosts'],
  }),
  operator: () => ({
    publish: ['runtime.host.*.>', 'herald.host.*.>', 'herald.hosts', 'herald.callout.*.audit', 'herald.callouts'],
    subscribe: ['runtime.operator.heartbeat.*', 'herald.logs.*', 'herald.audit.>'],
  }),
  // The callout service itself, as it tells whom it let in.
  callout: () => ({
    publish: ['herald.audit.*.nats.*'],
    subscribe: ['herald.callouts', 'herald.callout.*.audit'],
  }),
  workload: () => ({ publish: [], subscribe: [] }),
}

/** What the client of src/lattice/kv-bucket.ts asks of JetStream for one bucket. */
function bucketSubjects(bucket: string): readonly string[] {
  return [...streamSubjects(`KV_${bucket}`), `$KV.${bucket}.>`]
}

/** The same of src/lattice/object-bucket.ts. Removed objects are purged. */
function objectBucketSubjects(bucket: string): readonly string[] {
  const stream = `OBJ_${bucket}`
  const removal = [`$JS.API.STREAM.PURGE.${stream}`, `$JS.API.STREAM.DELETE.${stream}`]
  return [...streamSubjects(stream), ...removal, `$O.${bucket}.>`]
}

function streamSubjects(stream: string): readonly string[] {
  return [
    '$JS.API.INFO',
    `$JS.API.STREAM.CREATE.${stream}`,
    `$JS.API.STREAM.UPDATE.${stream}`,
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.>`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.FC.${stream}.>`,
  ]
}
