import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { parseSpiffeId, pathOf, spiffeIdOf, trustDomainOf } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

const td = 'spiffe://example.org'

for (const id of [
  td,
  `${td}/a`,
  `${td}/path/Element/with-_.all`,
  `${td}/...`,
  `${td}/.a`,
  `${td}/a..`,
  'spiffe://1.2.3.4/a',
  'spiffe://_under-score.dots/a',
  `spiffe://${'t'.repeat(255)}/a`,
  `${td}/${'p'.repeat(2048 - td.length - 1)}`,
]) {
  test(`parseSpiffeId accepts ${id.slice(0, 60)} (${id.length} bytes)`, () => assert.equal(parseSpiffeId(id), id))
}

for (const id of [
  '',
  'spiffe:',
  'spiffe://',
  'spiffe:///a',
  'spiffe:/example.org/a',
  'https://example.org/a',
  'SPIFFE://example.org/a',
  'Spiffe://example.org/a',
  ' spiffe://example.org/a',
  `${td}/a `,
  `${td}/a\n`,
  `${td}/`,
  `${td}/a/`,
  `${td}//a`,
  `${td}/a//b`,
  `${td}/.`,
  `${td}/..`,
  `${td}/a/./b`,
  `${td}/a/../b`,
  `${td}/%61`,
  `${td}/a%2fb`,
  `${td}/a b`,
  `${td}/a\0`,
  `${td}/ä`,
  `${td}/a\\b`,
  `${td}/a?q`,
  `${td}?q`,
  `${td}/a#f`,
  `${td}#f`,
  `${td}:80/a`,
  'spiffe://user@example.org/a',
  'spiffe://user:pw@example.org/a',
  'spiffe://Example.org/a',
  'spiffe://exämple.org/a',
  'spiffe://example%2eorg/a',
  'spiffe://[::1]/a',
  `spiffe://${'t'.repeat(256)}/a`,
  `${td}/${'p'.repeat(2048 - td.length)}`,
]) {
  test(`parseSpiffeId rejects ${JSON.stringify(id.slice(0, 60))} (${id.length} bytes)`, () => {
    assert.throws(
      () => parseSpiffeId(id),
      (error) => isHeraldError(error, 'ERR_SPIFFE_ID_INVALID'),
    )
  })
}

test('the parts of a SPIFFE ID come back as they were put in', () => {
  const id = spiffeIdOf(parseTrustDomain('example.org'), 'default', 'api-gateway')
  assert.equal(id, 'spiffe://example.org/default/api-gateway')
  assert.equal(trustDomainOf(id), 'example.org')
  assert.equal(pathOf(id), '/default/api-gateway')
  assert.equal(trustDomainOf(parseSpiffeId(td)), 'example.org')
  assert.equal(pathOf(parseSpiffeId(td)), '')
})

for (const segment of ['', '.', '..', 'a/b', 'a%2fb', 'a b', 'ä']) {
  test(`spiffeIdOf rejects the segment ${JSON.stringify(segment)}, so no name can reach another one's path`, () => {
    assert.throws(() => spiffeIdOf(parseTrustDomain('example.org'), 'default', segment), {
      code: 'ERR_SPIFFE_ID_INVALID',
    })
  })
}

test('parseTrustDomain accepts a bare name and the key of a SPIFFE bundle', () => {
  assert.equal(parseTrustDomain('example.org'), 'example.org')
  assert.equal(parseTrustDomain('spiffe://example.org'), 'example.org')
})

for (const name of [
  '',
  'spiffe://',
  'spiffe://example.org/',
  'example.org/a',
  'Example.org',
  'a b',
  'a:80',
  'ä',
  'https://a',
]) {
  test(`parseTrustDomain rejects ${JSON.stringify(name)}`, () => {
    assert.throws(() => parseTrustDomain(name), { code: 'ERR_TRUST_DOMAIN_INVALID' })
  })
}
