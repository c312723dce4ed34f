import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { canonicalReference, parseOciReference } from '../../src/oci/oci-reference.ts'

const hex = 'a'.repeat(64)

for (const [text, canonical] of [
  ['ghcr.io/o/hello:1', 'ghcr.io/o/hello:1'],
  ['ghcr.io/o/hello', 'ghcr.io/o/hello:latest'],
  ['GHCR.io/o/hello', 'ghcr.io/o/hello:latest'],
  [`ghcr.io/o/hello:1@sha256:${hex}`, `ghcr.io/o/hello@sha256:${hex}`],
  [`ghcr.io/o/hello@sha256:${hex}`, `ghcr.io/o/hello@sha256:${hex}`],
  ['hello', 'docker.io/library/hello:latest'],
  ['o/hello:2', 'docker.io/o/hello:2'],
  ['index.docker.io/o/hello', 'docker.io/o/hello:latest'],
  ['localhost/hello', 'localhost/hello:latest'],
  ['localhost:5000/a/b/c:v1.0_x-y', 'localhost:5000/a/b/c:v1.0_x-y'],
  ['127.0.0.1:5000/x', '127.0.0.1:5000/x:latest'],
  ['[::1]:5000/x', '[::1]:5000/x:latest'],
  ['r.example/a__b/c--d/e.f', 'r.example/a__b/c--d/e.f:latest'],
] as const) {
  test(`parseOciReference reads ${text}`, () => assert.equal(canonicalReference(parseOciReference(text)), canonical))
}

for (const text of [
  '',
  ' ghcr.io/o/h',
  'ghcr.io/o/h ',
  'ghcr.io/O/h',
  'ghcr.io/o//h',
  'ghcr.io/o/../h',
  'ghcr.io/../../etc/passwd',
  'ghcr.io/o/h:',
  'ghcr.io/o/h:-x',
  `ghcr.io/o/h:${'x'.repeat(129)}`,
  'ghcr.io/o/h@sha256:abc',
  `ghcr.io/o/h@sha256:${'A'.repeat(64)}`,
  `ghcr.io/o/h@md5:${hex}`,
  `ghcr.io/o/h@sha256:${hex}@sha256:${hex}`,
  'ghcr.io:0/o/h',
  'ghcr.io:99999/o/h',
  'ghcr.io:x/o/h',
  'user@ghcr.io/o/h',
  'oci://ghcr.io/o/h',
  'https://ghcr.io/o/h',
  'file:///etc/passwd',
  'ghcr.io/o/h?x=1',
  'ghcr.io/o/h#x',
  'ghcr.io/o/h%2f..',
  'ghcr.io/o/h\n',
  'ghcr..io/o/h',
  '-ghcr.io/o/h',
  '[::1/x',
  'ghcr.io/o/-h',
  'ghcr.io/o/h.',
  `ghcr.io/${'a/'.repeat(200)}x`,
]) {
  test(`parseOciReference rejects ${JSON.stringify(text.slice(0, 60))}`, () =>
    assert.throws(
      () => parseOciReference(text),
      (error) => isHeraldError(error, 'ERR_OCI_REFERENCE_INVALID'),
    ))
}
