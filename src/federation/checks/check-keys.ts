import { jwtSvidAlgorithms } from '../../spiffe/jwt-svid.ts'
import type { Check } from '../check-token.ts'
import { keyFitsAlgorithm } from '../discovery-facts.ts'
import { checkIssuer } from './check-issuer.ts'

const checkAlgorithm: Check = ({ party, token }) => {
  const { alg } = token.header
  const { accepted, tested } = party.algorithms
  const better = (tested ?? accepted).includes('RS256') ? 'rsa-2048' : 'ec-p256'
  const mend = `set jwt_key_type = "${better}" in SPIRE's server.conf (server { … }), restart it, then: spire-server localauthority jwt prepare; spire-server localauthority jwt activate`
  if (!accepted.some((algorithm) => algorithm === alg)) {
    const known = jwtSvidAlgorithms.some((algorithm) => algorithm === alg)
    return {
      cause: 'algorithm-refused',
      severity: 'refuses',
      detail: `the token is signed with ${known ? alg : 'an algorithm that JWT-SVIDs must not use'}, ${party.title} accepts ${accepted.join(', ')}`,
      mend,
    }
  }
  if (tested !== undefined && !tested.some((algorithm) => algorithm === alg)) {
    return {
      cause: 'algorithm-untested',
      severity: 'risks',
      detail: `the token is signed with ${alg}; the makers of ${party.title} say they test ${tested.join(', ')} only`,
      mend,
    }
  }
  return undefined
}

const checkJwksUrl: Check = ({ discovery, expected }) => {
  if (expected.allowedUrls === undefined || discovery.kind !== 'read') return undefined
  const url = discovery.jwksUri ?? discovery.url
  return expected.allowedUrls.includes(url)
    ? undefined
    : {
        cause: 'jwks-url-not-allowed',
        severity: 'refuses',
        detail: `the key set is at ${url}, allowed is ${expected.allowedUrls.join(', ') || 'nothing'}`,
        mend: `KAFKA_OPTS=-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${url}`,
      }
}

const checkDiscovery: Check = (input) => {
  const { party, token, discovery } = input
  if (party.keys === 'none' || discovery.kind === 'unread') return undefined
  if (discovery.kind === 'unreachable') {
    return {
      cause: 'discovery-unreachable',
      severity: 'refuses',
      detail: `${discovery.url}: ${discovery.reason}`,
      mend: `curl -fsS ${discovery.url}   (and start or expose SPIRE's OIDC discovery provider until it answers)`,
    }
  }
  const { iss } = token.claims
  if (party.keys === 'discovery' && party.issuer.checked && discovery.issuer !== iss) {
    // A wrong iss explains the difference by itself.
    if (checkIssuer(input) !== undefined) return undefined
    return {
      cause: 'discovery-issuer-differs',
      severity: 'refuses',
      detail: `the document says "${discovery.issuer ?? ''}", the token says "${iss ?? ''}"`,
      mend: `set jwt_issuer = "${iss ?? ''}" in the OIDC discovery provider's configuration and restart it`,
    }
  }
  if (discovery.keys.length === 0) {
    return {
      cause: 'discovery-without-keys',
      severity: 'refuses',
      detail: discovery.jwksUri === undefined ? 'it has no jwks_uri' : `${discovery.jwksUri} holds no key`,
      mend: 'spire-server healthcheck   (and see that the discovery provider reaches its server_api or workload_api address)',
    }
  }
  return undefined
}

const checkKey: Check = ({ party, token, discovery }) => {
  const { kid, alg } = token.header
  if (party.kidRequired && kid === undefined) {
    return {
      cause: 'kid-missing',
      severity: 'refuses',
      detail: `${party.title} chooses the key by kid`,
      mend: 'get the token from SPIRE, which always names the key: herald identity token --audience AUDIENCE',
    }
  }
  if (party.keys === 'none' || discovery.kind !== 'read' || discovery.keys.length === 0) return undefined
  const key = discovery.keys.find((published) => published.kid === kid)
  if (key === undefined && kid !== undefined) {
    return {
      cause: 'key-unknown',
      severity: 'refuses',
      detail: `key "${kid}" signed the token; published are ${discovery.keys.map((published) => `"${published.kid ?? ''}"`).join(', ')}`,
      mend: 'spire-server bundle show -format spiffe   (the discovery provider must serve the same trust domain; after a rotation wait for its poll_interval)',
    }
  }
  if (key !== undefined && !keyFitsAlgorithm(key, alg)) {
    return {
      cause: 'key-type-differs',
      severity: 'refuses',
      detail: `the token says ${alg}, key "${kid}" is ${key.kty}${key.crv === undefined ? '' : ` ${key.crv}`}`,
      mend: 'spire-server bundle show -format spiffe   (and compare the key with what the discovery provider serves)',
    }
  }
  if (party.keyUse !== undefined && key !== undefined && !party.keyUse.includes(key.use ?? '')) {
    return {
      cause: 'key-use-missing',
      severity: 'refuses',
      detail: `key "${kid}" has ${key.use === undefined ? 'no use' : `use "${key.use}"`}, ${party.title} takes ${party.keyUse.join(' or ')}`,
      mend: "point the party's bundleEndpoint at the SPIFFE bundle endpoint: server { federation { bundle_endpoint { … } } } in SPIRE's server.conf",
    }
  }
  return undefined
}

const checkSignature: Check = ({ signatureValid, token }) =>
  signatureValid === false
    ? {
        cause: 'signature-invalid',
        severity: 'refuses',
        detail: `the token was altered, or another key than the published "${token.header.kid ?? ''}" signed it`,
        mend: 'herald identity token --audience AUDIENCE   (fetch a fresh token and pass it on byte by byte)',
      }
    : undefined

export const checkKeys: readonly Check[] = [checkAlgorithm, checkJwksUrl, checkDiscovery, checkKey, checkSignature]
