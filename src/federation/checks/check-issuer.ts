import type { CheckInput } from '../check-token.ts'
import type { Finding } from '../finding.ts'
import { isPublicHost } from './is-public-host.ts'

/** `iss` against the party's demands on its shape, then against the issuer it trusts. */
export function checkIssuer({ party, token, expected }: CheckInput): Finding | undefined {
  const { iss, sub } = token.claims
  if (party.issuer.trustDomainOnly && iss !== undefined && !sub?.startsWith(`${iss}/`)) {
    return {
      cause: 'issuer-unwanted',
      severity: 'refuses',
      detail: `iss is "${iss}"; ${party.title} looks for a client of that issuer and finds none`,
      mend: "leave jwt_issuer out of SPIRE's server.conf, or let a SPIRE server without it issue the tokens for this party",
    }
  }
  if (!party.issuer.checked) return undefined
  const refuse = (cause: Finding['cause'], detail: string, mend: string): Finding => ({
    cause,
    severity: 'refuses',
    detail,
    mend,
  })
  const pin = (issuer: string) =>
    `set jwt_issuer = "${issuer}" in SPIRE's server.conf (server { … }) and in the OIDC discovery provider's configuration, then restart both`
  const wanted = expected.issuer ?? 'https://oidc.example.org'

  if (iss === undefined) {
    return refuse('issuer-missing', `${party.title} finds the keys by iss, and the token has none`, pin(wanted))
  }
  let url: URL
  try {
    url = new URL(iss)
  } catch {
    return refuse('issuer-not-a-url', `iss is "${iss}"`, pin(wanted))
  }
  if (expected.issuer !== undefined && iss !== expected.issuer && withoutSlash(iss) === withoutSlash(expected.issuer)) {
    return refuse(
      'issuer-trailing-slash',
      `the token says "${iss}", ${party.title} trusts "${expected.issuer}"`,
      `trust the issuer exactly as the token says it: herald trust ${party.kind} --issuer ${iss}`,
    )
  }
  if (expected.issuer !== undefined && iss !== expected.issuer) {
    return refuse(
      'issuer-differs',
      `the token says "${iss}", ${party.title} trusts "${expected.issuer}"`,
      `herald trust ${party.kind} --issuer ${iss}   (or, if the trusted one is right: ${pin(expected.issuer)})`,
    )
  }
  if (party.issuer.httpsOnly && url.protocol !== 'https:') {
    return refuse('issuer-not-https', `iss is "${iss}"`, pin(iss.replace(/^[a-z]+:/i, 'https:')))
  }
  if (!party.issuer.portAllowed && url.port !== '') {
    return refuse(
      'issuer-has-port',
      `iss is "${iss}", and ${party.title} only takes port 443`,
      pin(`${url.protocol}//${url.hostname}${url.pathname === '/' ? '' : url.pathname}`),
    )
  }
  if (iss.includes('?') || iss.includes('#')) {
    return refuse('issuer-has-query', `iss is "${iss}"`, pin(iss.replace(/[?#].*$/s, '')))
  }
  if (party.issuer.maxLength !== undefined && iss.length > party.issuer.maxLength) {
    return refuse(
      'issuer-too-long',
      `iss has ${iss.length} characters, at most ${party.issuer.maxLength} fit`,
      pin(wanted),
    )
  }
  if (party.issuer.mustBePublic && !isPublicHost(url.hostname)) {
    return refuse(
      'issuer-not-public',
      `${party.title} fetches the keys from the internet, where "${url.hostname}" does not exist`,
      `publish the OIDC discovery provider under a public name and ${pin(wanted)}`,
    )
  }
  return undefined
}

const withoutSlash = (url: string) => url.replace(/\/$/, '')
