import { checkAudience, checkSubject } from './checks/check-audience-and-subject.ts'
import { checkIssuer } from './checks/check-issuer.ts'
import { checkKeys } from './checks/check-keys.ts'
import { checkTimes } from './checks/check-times.ts'
import type { DiscoveryFacts } from './discovery-facts.ts'
import type { Finding } from './finding.ts'
import type { PresentedToken } from './presented-token.ts'
import type { RelyingParty } from './relying-party.ts'

/** What the relying party was told to expect, each part as far as known. */
export type Expectation = {
  readonly issuer?: string
  readonly audience?: string
  /** The exact subject, or a prefix that ends in `*`. */
  readonly subject?: string
  readonly trustDomain?: string
  /** CEL rules over `claims` (kube-apiserver's claimValidationRules). */
  readonly claimRules?: readonly string[]
  /** Vault's `role_type`. */
  readonly roleType?: string
  /** URLs that the party may fetch (Kafka's `org.apache.kafka.sasl.oauthbearer.allowed.urls`). */
  readonly allowedUrls?: readonly string[]
  /** Longest `exp - iat` that this party was set to accept, seconds; overrides the description's. */
  readonly maxLifetimeS?: number
}

export type CheckInput = {
  readonly party: RelyingParty
  readonly token: PresentedToken
  readonly expected: Expectation
  readonly discovery: DiscoveryFacts
  /** Result of a verification with the published keys; undefined when nobody tried. */
  readonly signatureValid: boolean | undefined
  readonly nowMs: number
}

export type Check = (input: CheckInput) => Finding | undefined

/**
 * Everything that stands between this token and this relying party, in the order in which causes hide one another: the first finding is the
 * one to mend. Empty = it will be accepted as far as the given facts tell.
 */
export function checkToken(input: CheckInput): readonly Finding[] {
  const findings = checks.map((check) => check(input)).filter((finding) => finding !== undefined)
  return [
    ...findings.filter((finding) => finding.severity === 'refuses'),
    ...findings.filter((finding) => finding.severity === 'risks'),
  ]
}

const checkPadding: Check = ({ token, party }) =>
  token.padded
    ? {
        cause: 'token-padded',
        severity: 'refuses',
        detail: `${party.title} receives the white space as part of the token`,
        mend: `printf %s "$(cat "$TOKEN_FILE")" > "$TOKEN_FILE"`,
      }
    : undefined

const checkRole: Check = ({ party, expected }) =>
  party.kind === 'vault' && expected.roleType !== undefined && expected.roleType !== 'jwt'
    ? {
        cause: 'role-type-oidc',
        severity: 'refuses',
        detail: `the role's role_type is ${expected.roleType}`,
        mend: 'vault write auth/jwt/role/ROLE role_type=jwt …   (print the whole role with: herald trust vault)',
      }
    : undefined

const checkClaimRules: Check = ({ token, expected }) => {
  for (const rule of expected.claimRules ?? []) {
    const guarded = new Set([...rule.matchAll(/has\(claims\.(\w+)\)/g)].map((match) => match[1]))
    const missing = [...rule.matchAll(/claims\.(\w+)/g)]
      .map((match) => match[1] ?? '')
      .find((claim) => !guarded.has(claim) && !token.claims.names.includes(claim))
    if (missing === undefined) continue
    return {
      cause: 'claim-rule-unsatisfiable',
      severity: 'refuses',
      detail: `the rule "${rule}" reads ${missing}, which the token does not have`,
      mend:
        missing === 'nbf'
          ? `replace the rule by: ${rule.replaceAll('claims.nbf', 'claims.iat')}`
          : `guard the rule: !has(claims.${missing}) || (${rule})`,
    }
  }
  return undefined
}

const checks: readonly Check[] = [
  checkPadding,
  checkRole,
  checkIssuer,
  ...checkKeys,
  ...checkTimes,
  checkAudience,
  checkSubject,
  checkClaimRules,
]
