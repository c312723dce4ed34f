import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { test } from 'node:test'
import { SignatureV4 } from '@smithy/signature-v4'
import { sha256Hex, signAws } from '../../src/federation/aws-signature.ts'

/** The interface that the SDK's own signer wants of a hash. */
class Sha256 {
  readonly #hash
  constructor(secret?: string | ArrayBuffer | Uint8Array) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', Buffer.from(secret as Uint8Array))
  }
  update(data: string | Uint8Array) {
    this.#hash.update(data as string)
  }
  async digest() {
    return new Uint8Array(this.#hash.digest())
  }
}

const cases = [
  {
    what: 'a form sent to STS',
    service: 'sts',
    method: 'POST',
    url: 'https://sts.amazonaws.com/',
    body: 'Action=AssumeRole&Version=2011-06-15',
  },
  {
    what: 'a query with characters to encode',
    service: 's3',
    method: 'GET',
    url: "https://b.s3.amazonaws.com/a%20b/c?prefix=x/y&marker=a'(b)*!&empty=",
    body: '',
  },
  {
    what: 'a model name with a colon in the path',
    service: 'bedrock',
    method: 'POST',
    url: 'https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse',
    body: '{"messages":[]}',
  },
  { what: 'a port in the host', service: 's3', method: 'PUT', url: 'http://127.0.0.1:9000/bucket/key', body: 'hello' },
] as const

for (const { what, service, method, url: text, body } of cases) {
  for (const sessionToken of [undefined, 'session']) {
    test(`signs ${what} ${sessionToken ? 'with' : 'without'} a session token as the AWS SDK does`, async () => {
      const url = new URL(text)
      const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'example-key', sessionToken }
      const now = new Date('2026-03-01T12:34:56.789Z')
      const headers = { 'content-type': 'application/json', 'x-amz-meta-note': '  two   spaces ' }
      const ours = signAws({ method, url, headers, bodySha256: sha256Hex(body) }, keys, {
        region: 'us-east-1',
        service,
        nowMs: now.getTime(),
      })
      const signer = new SignatureV4({
        service,
        region: 'us-east-1',
        credentials: { ...keys, ...(sessionToken && { sessionToken }) },
        sha256: Sha256 as never,
        applyChecksum: service === 's3',
        uriEscapePath: service !== 's3',
      })
      const theirs = (await signer.sign(
        {
          method,
          protocol: url.protocol,
          hostname: url.hostname,
          path: url.pathname,
          query: Object.fromEntries(url.searchParams),
          headers: { ...headers, host: url.host },
          body,
        } as never,
        { signingDate: now },
      )) as unknown as { headers: Record<string, string> }
      assert.equal(ours.authorization, theirs.headers.authorization)
    })
  }
}
