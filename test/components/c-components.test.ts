import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { type ComponentHouse, openComponentHouse } from './component-house.ts'

describe('the components in C, in the real engine', () => {
  let house: ComponentHouse

  before(async () => {
    house = await openComponentHouse()
  })
  after(() => house[Symbol.asyncDispose]())

  const imports: Record<string, string[]> = {
    'hello-c': ['wasi:http/types@0.2.12', 'wasi:io/error@0.2.12', 'wasi:io/streams@0.2.12'],
    'hello-cli-c': [
      'wasi:cli/environment@0.2.12',
      'wasi:cli/exit@0.2.12',
      'wasi:cli/stdout@0.2.12',
      'wasi:io/error@0.2.12',
      'wasi:io/streams@0.2.12',
    ],
    'whoami-c': [
      'wasi:cli/environment@0.2.12',
      'wasi:clocks/monotonic-clock@0.2.12',
      'wasi:http/types@0.2.12',
      'wasi:io/error@0.2.12',
      'wasi:io/streams@0.2.12',
      'wasmcloud:identity/store@0.0.1',
    ],
  }
  for (const [name, expected] of Object.entries(imports)) {
    test(`${name} imports what its README says and nothing else`, async () => {
      const description = await house.inspect(name)
      assert.deepEqual(description.imports.map((wit) => wit.name).sort(), expected)
      assert.ok(description.sizeBytes < 32_768, `${description.sizeBytes} bytes`)
    })
  }

  test('hello-c says hello', async () => {
    const { url } = await house.deploy('hello-c')
    const response = await fetch(url)
    assert.equal(response.status, 200)
    assert.equal(await response.text(), 'hello\n')
  })

  test('whoami-c answers with its own SPIFFE ID, and until when', async () => {
    const { url } = await house.deploy('whoami-c')
    const response = await fetch(url)
    assert.equal(response.status, 200)
    const { expiresAt, ...who } = (await response.json()) as Record<string, string>
    const me = 'spiffe://development.local/default/whoami-c'
    assert.deepEqual(who, { spiffeId: me, subject: me, audience: 'sts.amazonaws.com' })
    const holdS = (Date.parse(expiresAt!) - Date.now()) / 1000
    assert.ok(holdS > 200 && holdS <= 300, `${expiresAt} is ${holdS} s ahead`)
  })

  test('whoami-c is refused an audience that is not on its list, in the host’s words', async () => {
    const { url } = await house.deploy('whoami-c', { environment: { HERALD_AUDIENCE: 'https://other.example' } })
    const response = await fetch(url)
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    assert.deepEqual([response.status, error.code], [403, 'identity-refused'])
    assert.notEqual(error.message, '')
  })

  test('whoami-c times warm gets from within', async () => {
    const { url } = await house.deploy('whoami-c')
    const response = await fetch(`${url}/bench/get?n=1000`)
    assert.equal(response.status, 200)
    const { n, elapsedNs, tokenBytes } = (await response.json()) as Record<string, number>
    assert.equal(n, 1000)
    assert.ok(elapsedNs! > 0)
    assert.ok(tokenBytes! > 200)
  })

  const requests: [string, string, number][] = [
    ['GET', '/hello', 200],
    ['POST', '/', 405],
    ['GET', '/other', 404],
    ['GET', '/bench/get?n=0', 400],
    ['GET', '/bench/get?n=10000001', 400],
    ['GET', '/bench/get?n=99999999999999999999', 400],
    ['GET', '/bench/get?n=1e3', 400],
  ]
  test('whoami-c answers each request with its status', async () => {
    const { url } = await house.deploy('whoami-c')
    for (const [method, path, status] of requests) {
      const response = await fetch(`${url}${path}`, { method })
      await response.arrayBuffer()
      assert.equal(response.status, status, `${method} ${path}`)
    }
  })

  for (const code of [0, 1, 2, 7, 255]) {
    test(`hello-cli-c prints what it was given and ends with ${code}`, async () => {
      const { cell, output } = await house.deploy('hello-cli-c', {
        args: ['hello-cli-c', 'grüße'],
        environment: { HELLO_EXIT_CODE: `${code}` },
      })
      const { exitCode } = await cell.run('hello-cli-c', { signal: AbortSignal.timeout(5000) })
      assert.equal(exitCode, code)
      assert.deepEqual(output, ['argument 0: hello-cli-c', 'argument 1: grüße', `HELLO_EXIT_CODE=${code}`])
    })
  }

  test('no token is in what the house logged', () => {
    assert.doesNotMatch(house.logText(), /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  })
})
