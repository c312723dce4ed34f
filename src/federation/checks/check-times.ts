import type { Check } from '../check-token.ts'

const seconds = (s: number) => `${Math.round(s)} s`

const checkExpiry: Check = ({ party, token, nowMs }) => {
  const { exp, iat } = token.claims
  const nowS = nowMs / 1000
  if (exp === undefined || exp + party.time.leewayS <= nowS) {
    return {
      cause: 'expired',
      severity: 'refuses',
      detail: exp === undefined ? 'the token has no exp' : `the token ended ${seconds(nowS - exp)} ago`,
      mend:
        exp !== undefined && iat !== undefined && nowS - iat > 2 * (exp - iat)
          ? 'herald identity token --audience AUDIENCE   (this token is long gone: fetch one for each use, keep none in files)'
          : 'herald identity token --audience AUDIENCE   (and compare the clocks: timedatectl status)',
    }
  }
  return undefined
}

const checkIssuedAt: Check = ({ party, token, nowMs }) => {
  const { iat } = token.claims
  if (iat === undefined) {
    return party.time.iatRequired
      ? {
          cause: 'iat-missing',
          severity: 'refuses',
          detail: `${party.title} demands iat`,
          mend: 'get the token from SPIRE, which always sets iat: herald identity token --audience AUDIENCE',
        }
      : undefined
  }
  const aheadS = iat - nowMs / 1000
  if (aheadS <= Math.max(party.time.leewayS, 1)) return undefined
  return {
    cause: 'issued-in-future',
    severity: party.time.futureIatRefused ? 'refuses' : 'risks',
    detail: `the issuer's clock is ${seconds(aheadS)} ahead of this one; ${party.title} bears ${seconds(party.time.leewayS)}`,
    mend: 'timedatectl set-ntp true   (on the SPIRE server and here)',
  }
}

const checkLifetime: Check = ({ party, token, expected }) => {
  const { exp, iat } = token.claims
  const maxS = expected.maxLifetimeS ?? party.time.maxLifetimeS
  if (maxS === undefined || exp === undefined || iat === undefined || exp - iat <= maxS) return undefined
  return {
    cause: 'lifetime-too-long',
    severity: party.time.longLifetime,
    detail: `the token lives ${seconds(exp - iat)}, ${party.title} accepts ${seconds(maxS)}`,
    mend: `spire-server entry update -entryID ENTRY … -jwtSVIDTTL ${Math.min(maxS, 300)}   (or default_jwt_svid_ttl = "${Math.min(maxS, 300)}s" in server.conf)`,
  }
}

export const checkTimes: readonly Check[] = [checkExpiry, checkIssuedAt, checkLifetime]
