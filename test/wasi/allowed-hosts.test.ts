import { strictEqual, throws } from 'node:assert'
import { test } from 'node:test'
import { HeraldError } from '../../src/errors/herald-error.ts'
import { AddressPolicy } from '../../src/wasi/network/address-policy.ts'
import { AllowedHosts, parseOrigin } from '../../src/wasi/network/allowed-hosts.ts'
import { embeddedIpv4, formatIp, parseIp } from '../../src/wasi/network/ip-address.ts'

for (const [entry, url, expected] of [
  ['https://api.example.com', 'https://api.example.com', 'exact'],
  ['https://api.example.com', 'https://API.example.com.:443', 'exact'],
  ['https://api.example.com', 'https://api.example.com:8443', undefined],
  ['https://api.example.com', 'http://api.example.com', undefined],
  ['https://api.example.com', 'https://xapi.example.com', undefined],
  ['https://api.example.com', 'https://api.example.com.evil.test', undefined],
  ['https://api.example.com/', 'https://api.example.com', 'exact'],
  ['api.example.com', 'https://api.example.com', 'exact'],
  ['api.example.com', 'http://api.example.com', undefined],
  ['api.example.com:8080', 'https://api.example.com:8080', 'exact'],
  ['https://*.amazonaws.com', 'https://sts.amazonaws.com', 'wildcard'],
  ['https://*.amazonaws.com', 'https://sts.eu-west-1.amazonaws.com', 'wildcard'],
  ['https://*.amazonaws.com', 'https://amazonaws.com', undefined],
  ['https://*.amazonaws.com', 'https://evilamazonaws.com', undefined],
  ['https://*.amazonaws.com', 'https://x.amazonaws.com.evil.test', undefined],
  ['https://bedrock-runtime.*.amazonaws.com', 'https://bedrock-runtime.eu-west-1.amazonaws.com', 'wildcard'],
  ['https://bedrock-runtime.*.amazonaws.com', 'https://bedrock-runtime.a.b.amazonaws.com', undefined],
  ['https://*', 'https://anything.test', 'wildcard'],
  ['https://*', 'https://10.0.0.1', undefined],
  ['https://*:*', 'https://anything.test:8443', 'wildcard'],
  ['http://127.0.0.1:9000', 'http://127.0.0.1:9000', 'exact'],
  ['http://127.0.0.1:9000', 'http://2130706433:9000', 'exact'],
  ['http://127.0.0.1:9000', 'http://127.0.0.1:9001', undefined],
  ['http://[::1]:9000', 'http://[0:0:0:0:0:0:0:1]:9000', 'exact'],
  ['http://localhost:*', 'http://localhost:1234', 'exact'],
] as const) {
  test(`allowedHosts "${entry}" ${expected === undefined ? 'denies' : 'allows'} ${url}`, () => {
    const [scheme = '', authority = ''] = url.split('://')
    const origin = parseOrigin(scheme === 'http' ? 'http' : 'https', authority)
    strictEqual(origin && new AllowedHosts([entry]).match(origin), expected)
  })
}

for (const entry of [
  '',
  'ftp://a',
  'https://a/path',
  'https://user@a',
  'https://a b',
  'https://a:0',
  'https://a:99999',
  'https://a*b.com',
  'https://[::1',
  'https://',
]) {
  test(`allowedHosts refuses the entry ${JSON.stringify(entry)}`, () => {
    throws(
      () => new AllowedHosts([entry]),
      (error) => error instanceof HeraldError && error.code === 'ERR_NETWORK_POLICY_INVALID',
    )
  })
}

for (const authority of [
  '',
  'a@b',
  'a/b',
  'a b',
  'a?b',
  'a#b',
  'a:b',
  ':80',
  'a:99999',
  '[::1',
  'a\\b',
  'ü.test',
  '%61',
]) {
  test(`${JSON.stringify(authority)} is no authority to send to`, () => {
    const origin = parseOrigin('http', authority)
    // Percent-encoding is undone before it is compared.
    strictEqual(origin?.host, authority === '%61' ? 'a' : undefined)
  })
}

for (const [text, inner] of [
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['64:ff9b::102:304', '1.2.3.4'],
  ['2002:102:304::', '1.2.3.4'],
  ['::1.2.3.4', '1.2.3.4'],
  ['::1', undefined],
  ['::', undefined],
  ['2001:db8::1', undefined],
] as const) {
  test(`${text} ${inner === undefined ? 'stands for itself' : `stands for ${inner}`}`, () => {
    const bytes = parseIp(text)
    if (bytes === undefined) throw new Error('not parsed')
    const found = bytes.length === 4 ? bytes : embeddedIpv4(bytes, 'any')
    strictEqual(found && formatIp(found), inner)
  })
}

for (const entry of ['x', '10.0.0.0/33', '10.0.0.1:port', 'host.name', '1.2.3.4/8/9']) {
  test(`${entry} is no denied address`, () => {
    throws(
      () => new AddressPolicy([entry], []),
      (error) => error instanceof HeraldError,
    )
  })
}

for (const entry of ['0', '70000', '9-1', 'a', '', '1-', '-5']) {
  test(`"${entry}" is no loopback port`, () => {
    throws(
      () => new AddressPolicy([], [entry]),
      (error) => error instanceof HeraldError,
    )
  })
}

test('loopback ports are single ones and ranges', () => {
  const policy = new AddressPolicy([], ['80', '8000-8010'])
  for (const [port, allowed] of [
    [80, true],
    [81, false],
    [8000, true],
    [8010, true],
    [8011, false],
  ] as const) {
    strictEqual(policy.loopbackPortAllowed(port), allowed, String(port))
  }
})
