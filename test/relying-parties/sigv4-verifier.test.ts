import assert from 'node:assert/strict'
import test from 'node:test'
import { isSignedWith, readSigV4 } from './sigv4-verifier.ts'

// The case "get-vanilla" of AWS's published Signature Version 4 test suite.
const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const vanilla = {
  method: 'GET',
  target: '/',
  headers: {
    host: 'example.amazonaws.com',
    'x-amz-date': '20150830T123600Z',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  },
  body: Buffer.alloc(0),
}
const claim = readSigV4(vanilla.headers.authorization)!

test('a request of the published test suite is found rightly signed', () => {
  assert.equal(claim.accessKeyId, 'AKIDEXAMPLE')
  assert.equal(isSignedWith(secret, claim, vanilla), true)
})

const tampered: Record<string, typeof vanilla> = {
  'another path': { ...vanilla, target: '/other' },
  'another query': { ...vanilla, target: '/?a=b' },
  'another body': { ...vanilla, body: Buffer.from('x') },
  'another method': { ...vanilla, method: 'POST' },
  'another host': { ...vanilla, headers: { ...vanilla.headers, host: 'evil.example' } },
  'another date': { ...vanilla, headers: { ...vanilla.headers, 'x-amz-date': '20150830T123601Z' } },
}
for (const [what, request] of Object.entries(tampered)) {
  test(`the same signature on ${what} is found wrong`, () => assert.equal(isSignedWith(secret, claim, request), false))
}

test('another secret is found wrong', () => assert.equal(isSignedWith(`${secret}x`, claim, vanilla), false))

for (const header of [
  undefined,
  '',
  'Bearer abc',
  'AWS4-HMAC-SHA256 Credential=a/b/c',
  'AWS4-HMAC-SHA256 Signature=00',
]) {
  test(`${JSON.stringify(header)} is no SigV4 header`, () => assert.equal(readSigV4(header), undefined))
}
