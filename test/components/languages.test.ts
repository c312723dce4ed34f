import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { buildComponents } from '../../scripts/build-components.ts'
import { ToolMissing, ToolUnobtainable } from '../../scripts/components/build-failure.ts'
import type { Cell } from '../../src/engine/engine.ts'
import { type ComponentHouse, openComponentHouse } from './component-house.ts'

const languages = [
  { name: 'hello-javascript', language: 'JavaScript', maxBytes: 20_000_000 },
  { name: 'hello-python', language: 'Python', maxBytes: 30_000_000 },
  { name: 'hello-rust', language: 'Rust', maxBytes: 200_000 },
  { name: 'hello-go', language: 'Go', maxBytes: 5_000_000 },
]

for (const { name, language, maxBytes } of languages) {
  const missing = await whatIsMissing(name)
  describe(`a component in ${language}, in the real engine`, { skip: missing }, () => {
    let house: ComponentHouse
    let cell: Cell
    let url: string
    let output: readonly string[]
    const me = `spiffe://development.local/default/${name}`

    before(async () => {
      house = await openComponentHouse()
      ;({ cell, url, output } = await house.deploy(name, { args: [name, 'grüße'] }))
    })
    after(() => house[Symbol.asyncDispose]())

    test(`${name} runs on slim glue, and exports both of its worlds`, async () => {
      const { exports, glue, sizeBytes } = await house.inspect(name)
      assert.deepEqual(glue, { slim: true })
      const names = exports.map((wit) => wit.name.replace(/@.*/, ''))
      for (const wit of ['wasi:http/incoming-handler', 'wasi:cli/run']) assert.ok(names.includes(wit), names.join())
      assert.ok(sizeBytes < maxBytes, `${sizeBytes} bytes`)
    })

    test(`${name} says hello, request after request`, async () => {
      for (let n = 0; n < 5; n++) {
        const response = await fetch(`${url}/?n=${n}`)
        assert.deepEqual([response.status, await response.text()], [200, `hello from ${language}\n`])
        assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8')
      }
      assert.equal((await fetch(`${url}/elsewhere`)).status, 404)
    })

    test(`${name} answers several at a time`, async () => {
      const texts = await Promise.all(Array.from({ length: 8 }, async () => (await fetch(url)).text()))
      assert.deepEqual(new Set(texts), new Set([`hello from ${language}\n`]))
      assert.equal(cell.metrics().failures, 0)
    })

    test(`${name} has its own SPIFFE ID`, async () => {
      const response = await fetch(`${url}/whoami`)
      assert.deepEqual([response.status, await response.text()], [200, `${me}\n`])
    })

    test(`${name} runs from the command line, and has its SPIFFE ID there too`, async () => {
      const { exitCode } = await cell.run(name, { signal: AbortSignal.timeout(20_000) })
      assert.equal(exitCode, 0)
      assert.deepEqual(output, [`hello from ${language}, grüße`, me])
    })

    test(`${name} hears why it is refused a token, and ends with 1, given no arguments at all`, async () => {
      const refused = await house.deploy(name, { audiences: 'https://other.example' })
      const response = await fetch(`${refused.url}/whoami`)
      const said = await response.text()
      assert.equal(response.status, 403)
      assert.match(said, /sts\.amazonaws\.com/)
      const { exitCode } = await refused.cell.run(name, { signal: AbortSignal.timeout(20_000) })
      assert.equal(exitCode, 1)
      assert.equal(refused.output.at(-1), said.trimEnd())
    })

    test(`no token of ${name} is in what the house logged`, () => {
      assert.doesNotMatch(house.logText(), /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
    })
  })
}

/** What to install, when a language's tool is not on this machine; in CI that is a failure, unless no registry has the tool. */
async function whatIsMissing(name: string): Promise<string | false> {
  try {
    await buildComponents([name])
    return false
  } catch (error) {
    const leaveOut = process.env.CI === 'true' ? ToolUnobtainable : ToolMissing
    if (error instanceof leaveOut) return error.message
    throw error
  }
}
