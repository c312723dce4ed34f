import type { CheckInput } from '../check-token.ts'
import type { Finding } from '../finding.ts'

export function checkAudience({ party, token, expected }: CheckInput): Finding | undefined {
  const { aud } = token.claims
  const wanted = expected.audience ?? party.audience.usual
  const list = aud.map((audience) => `"${audience}"`).join(', ')
  if (wanted !== undefined && !aud.includes(wanted)) {
    const slash = aud.find((audience) => audience.replace(/\/$/, '') === wanted.replace(/\/$/, ''))
    return {
      cause: slash === undefined ? 'audience-differs' : 'audience-trailing-slash',
      severity: 'refuses',
      detail: `the token is for ${list || 'nobody'}, ${party.title} expects "${wanted}"`,
      mend: `ask for "${wanted}", and list it in the workload: hostInterfaces … config: { audiences: "${wanted}" }`,
    }
  }
  if (party.audience.single && aud.length > 1) {
    return {
      cause: 'audience-not-single',
      severity: 'refuses',
      detail: `the token is for ${list}, ${party.title} accepts one audience only`,
      mend: `ask for "${wanted ?? aud[0] ?? ''}" alone: herald identity token --audience ${wanted ?? aud[0] ?? ''}`,
    }
  }
  return undefined
}

export function checkSubject({ party, token, expected }: CheckInput): Finding | undefined {
  const { sub } = token.claims
  const refuse = (cause: Finding['cause'], detail: string, mend: string): Finding => ({
    cause,
    severity: 'refuses',
    detail,
    mend,
  })
  const trustDomain = sub?.match(/^spiffe:\/\/([a-z0-9._-]+)\/./)?.[1]
  if (sub === undefined || trustDomain === undefined) {
    return refuse(
      'subject-missing',
      `sub is ${sub === undefined ? 'absent' : `"${sub}"`}`,
      'herald identity token --audience AUDIENCE   (this token is no JWT-SVID)',
    )
  }
  const bytes = Buffer.byteLength(sub)
  if (party.subject.maxBytes !== undefined && bytes > party.subject.maxBytes) {
    return refuse(
      'subject-too-long',
      `sub has ${bytes} bytes, ${party.title} stores ${party.subject.maxBytes}`,
      party.kind === 'gcp'
        ? `map less of it, as this prints: herald trust gcp --spiffe-id ${sub}`
        : `register a shorter SPIFFE ID: herald trust spire --spiffe-id spiffe://${trustDomain}/SHORTER`,
    )
  }
  if (party.subject.trustDomainChecked && expected.trustDomain !== undefined && trustDomain !== expected.trustDomain) {
    return refuse(
      'trust-domain-differs',
      `sub is in "${trustDomain}", ${party.title} trusts "${expected.trustDomain}"`,
      `herald trust ${party.kind} --spiffe-id ${sub}`,
    )
  }
  const wanted = expected.subject
  if (wanted === undefined) return undefined
  const fits = wanted.endsWith('*') ? sub.startsWith(wanted.slice(0, -1)) : sub === wanted
  return fits
    ? undefined
    : refuse(
        'subject-differs',
        `sub is "${sub}", ${party.title} expects "${wanted}"`,
        `herald trust ${party.kind} --spiffe-id ${sub}`,
      )
}
