import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'
import type { KeyPath } from '../manifest/problem.ts'
import { schemaProblems } from '../manifest/schema-problems.ts'
import { parseYamlDocuments } from '../manifest/yaml-documents.ts'
import { pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { type GrantedSubjects, parseGrantSubject, subjectsOf } from './granted-subjects.ts'
import { parseSpiffeIdPattern, type SpiffeIdPattern } from './spiffe-id-pattern.ts'

/** Who may connect to NATS, as whom, and what each may do there. Whoever no grant names is refused. */
export type CalloutPolicy = {
  /** What a JWT-SVID must be for. */
  readonly audience: string
  /** Longest time until a connection must show itself again, ms; never beyond the expiry of its SVID. */
  readonly maxSessionMs: number
  readonly grants: readonly Grant[]
}

export type Grant = {
  readonly pattern: SpiffeIdPattern
  /** NATS account; must be one of the server's configuration. */
  readonly account: string
  readonly subjects: GrantedSubjects
}

export type Permission = {
  readonly account: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** Whether it may answer whoever asks it. */
  readonly answers: boolean
}

const text = z.string().min(1).max(512)
const list = z.array(text).max(256).default([])
const grantDocument = z.strictObject({
  'spiffe-id': text,
  account: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'the name of a NATS account'),
  as: z.enum(['host', 'operator', 'callout', 'workload']).default('workload'),
  'host-id': text.optional(),
  publish: list,
  subscribe: list,
  keyvalue: list,
  blobstore: list,
})
const policyDocument = z.strictObject({
  audience: text.default('nats'),
  'max-session-s': z.int().min(5).max(86_400).default(3_600),
  grants: z.array(grantDocument).min(1).max(10_000),
})

/** @throws ERR_CALLOUT_POLICY_INVALID for the first fault, with its place */
export function parseCalloutPolicy(source: string, file: string): CalloutPolicy {
  const parsed = parseYamlDocuments(source, file)
  const invalid = (message: string, { where = { file }, hint }: { where?: HeraldError['where']; hint?: string } = {}) =>
    new HeraldError('ERR_CALLOUT_POLICY_INVALID', message, {
      where,
      hint: hint ?? 'see docs/federation/nats.md for what a policy says',
    })
  if ('errors' in parsed) throw invalid(parsed.errors[0]!.message, { where: parsed.errors[0]!.where })
  const [document, another] = parsed.documents
  if (document === undefined || another !== undefined) throw invalid('a policy is one YAML document')
  const result = policyDocument.safeParse(document.value)
  if (!result.success) {
    const problems = schemaProblems(result.error.issues, document.value)
    // A key that is not known explains one that is missing.
    const problem = problems.find(({ at }) => at === 'key') ?? problems[0]
    if (problem === undefined) throw invalid('it does not follow the schema')
    const { path, at, message, hint } = problem
    throw invalid(message, { where: document.locate(path, at), ...(hint !== undefined && { hint }) })
  }
  const { audience, grants, ...rest } = result.data
  const seen = new Set<string>()
  const at = <T>(path: KeyPath, read: () => T): T => {
    try {
      return read()
    } catch (error) {
      throw invalid((error as HeraldError).message, { where: document.locate(path, 'value') })
    }
  }
  return {
    audience,
    maxSessionMs: rest['max-session-s'] * 1000,
    grants: grants.map((grant, index): Grant => {
      const place = (...path: KeyPath): KeyPath => ['grants', index, ...path]
      const pattern = at(place('spiffe-id'), () => parseSpiffeIdPattern(grant['spiffe-id']))
      if (seen.has(pattern.shape)) {
        throw invalid('another grant is for the same SPIFFE ID', {
          where: document.locate(place('spiffe-id'), 'value'),
        })
      }
      seen.add(pattern.shape)
      const subjects = (key: 'publish' | 'subscribe'): readonly string[] =>
        grant[key].map((subject, i) => at(place(key, i), () => parseGrantSubject(subject, pattern.names)))
      const buckets = (key: 'keyvalue' | 'blobstore'): readonly string[] =>
        grant[key].map((bucket, i) =>
          at(place(key, i), () => {
            const name = parseGrantSubject(bucket, pattern.names)
            if (!/[.*>]/.test(name)) return name
            throw new Error(`${JSON.stringify(bucket)} is no name of a bucket`)
          }),
        )
      const hostId = grant['host-id']
      if (hostId !== undefined && grant.as !== 'host') {
        throw invalid('host-id is for as: host', { where: document.locate(place('host-id'), 'key') })
      }
      return {
        pattern,
        account: grant.account,
        subjects: {
          role: grant.as,
          hostId: hostId === undefined ? '*' : at(place('host-id'), () => parseGrantSubject(hostId, pattern.names)),
          publish: subjects('publish'),
          subscribe: subjects('subscribe'),
          keyvalue: buckets('keyvalue'),
          blobstore: buckets('blobstore'),
        },
      }
    }),
  }
}

/**
 * What a verified SPIFFE ID may do. The grant that names it exactly counts before patterns.
 * @throws ERR_CALLOUT_DENIED when none fits, or several patterns do
 */
export function permissionOf(policy: CalloutPolicy, spiffeId: SpiffeId): Permission {
  const matching = policy.grants.flatMap(({ pattern, account, subjects }) => {
    const captured = pattern.match(trustDomainOf(spiffeId), pathOf(spiffeId))
    return captured === undefined ? [] : [{ pattern, account, subjects, captured }]
  })
  const [first, second] = matching.toSorted((a, b) => a.pattern.names.size - b.pattern.names.size)
  if (first === undefined) {
    throw new HeraldError('ERR_CALLOUT_DENIED', `no grant of the policy is for ${spiffeId}`, {
      hint: 'add one to the policy file',
    })
  }
  if (second !== undefined && first.pattern.names.size > 0) {
    throw new HeraldError(
      'ERR_CALLOUT_DENIED',
      `several grants fit ${spiffeId}: ${first.pattern.text}, ${second.pattern.text}`,
      { hint: 'make one of them narrower, or name the SPIFFE ID exactly' },
    )
  }
  return { account: first.account, ...subjectsOf(first.subjects, first.captured, spiffeId) }
}
