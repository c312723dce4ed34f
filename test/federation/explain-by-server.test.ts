import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildServer } from '../../scripts/servers/build-server.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import type { Cause } from '../../src/cli/explanation.ts'
import type { ExplainOptions } from '../../src/cli/identity-explain-command.ts'
import { openSpireChannel } from '../../src/identity/spire/spire-channel.ts'
import { socketAccepts } from '../support/reachable.ts'
import { startServerProcess } from '../support/server-process.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { agentConfig } from '../support/spire-config.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type Explainer, identityOf, openExplainer } from './explainer.ts'

const cleanup = new AsyncDisposableStack()
let programs: string
let explainer: Explainer
before(async () => {
  programs = await buildServer('spire')
  explainer = cleanup.use(openExplainer({ for: 'nats', audience: 'a' }))
})
after(() => cleanup.disposeAsync())

async function spireServer(spire: Spire, args: readonly string[]): Promise<string> {
  const all = [...args, '-socketPath', spire.serverSocketPath]
  const { exitCode, stdout, output } = await runProgram(join(programs, 'spire-server'), all)
  assert.equal(exitCode, 0, output)
  return stdout
}

type Entry = { readonly parentId?: string; readonly spiffeId?: string; readonly options?: readonly string[] }
async function create(spire: Spire, selectors: readonly string[], entry: Entry = {}): Promise<string> {
  const { parentId = spire.hostSpiffeId, spiffeId = 'spiffe://example.org/shop/api', options = [] } = entry
  const created = await spireServer(spire, [
    ...['entry', 'create', '-parentID', parentId, '-spiffeID', spiffeId, '-output', 'json'],
    ...selectors.flatMap((selector) => ['-selector', selector]),
    ...options,
  ])
  return JSON.parse(created).results[0].entry.id
}

const socketsOf = ({ adminSocketPath, serverSocketPath }: Spire): Partial<ExplainOptions> => ({
  spireAdminSocket: adminSocketPath,
  spireServerSocket: serverSocketPath,
})

// What an agent only ever says as "no identity issued", or says nothing of. Each mismatch is real, and what is said to mend it is run.
describe("with the SPIRE server's socket, what only the server knows", () => {
  let spire: Spire
  const otherAgent = 'spiffe://example.org/agent-b'
  let slow: Spire
  let kept: string
  /** That agent has taken over for the last time. */
  let settled: Promise<void>
  before(async () => {
    slow = cleanup.use(await startSpire({ oidc: false, trustDomain: 'slow.example', syncInterval: '1h', agent: false }))
    kept = await create(slow, ['wasmcloud:component:kept'], { spiffeId: 'spiffe://slow.example/kept' })
    await slow.startAgent()
    settled = settle(await create(slow, ['wasmcloud:component:mark'], { spiffeId: 'spiffe://slow.example/mark' }))
    settled.catch(() => {})
    spire = cleanup.use(await startSpire({ oidc: false }))
    await attestSecondAgent()
  })

  /** Until the agent has that entry, or 15 s are over: then it came too late for the one time. */
  async function settle(entryId: string): Promise<void> {
    const limit = AbortSignal.timeout(15_000)
    while (!limit.aborted && !slow.agentLogs().includes(`msg="Entry created" entry=${entryId}`)) await sleep(100)
  }

  /** Another node: its agent attests, and is gone again; the server keeps it. */
  async function attestSecondAgent(): Promise<void> {
    const token = await spireServer(spire, ['token', 'generate', '-spiffeID', otherAgent, '-output', 'json'])
    const directory = cleanup.use(temporaryDirectory()).path
    mkdirSync(join(directory, 'agent'))
    const [workloadSocketPath, adminSocketPath] = [join(directory, 'api', 'a.sock'), join(directory, 'admin', 'a.sock')]
    const serverPort = Number(/Starting Server APIs.*?127\.0\.0\.1:(\d+)/s.exec(spire.serverLogs())?.[1])
    const layout = { directory, trustDomain: 'example.org', serverPort, workloadSocketPath, adminSocketPath }
    const config = { ...layout, authorizedDelegates: [], syncInterval: '1s' }
    writeFileSync(join(directory, 'agent.conf'), agentConfig(config as never))
    await using _ = await startServerProcess({
      name: 'spire-agent-b',
      program: join(programs, 'spire-agent'),
      args: ['run', '-config', join(directory, 'agent.conf'), '-joinToken', JSON.parse(token).value],
      isReady: () => socketAccepts(adminSocketPath),
    })
  }

  async function causeOf(file: string, options: Partial<ExplainOptions> = {}): Promise<Cause | undefined> {
    const { json, error } = await explainer.explain(file, { ...socketsOf(spire), ...options })
    assert.equal(error === undefined, json.cause === undefined)
    return json.cause
  }

  async function untilMended(file: string): Promise<void> {
    const limit = AbortSignal.timeout(20_000)
    for (let cause = await causeOf(file); cause !== undefined; cause = await causeOf(file)) {
      assert.ok(!limit.aborted, `${cause.name}: ${cause.detail}`)
      await sleep(200)
    }
  }

  type Case = {
    readonly what: string
    readonly name: string
    readonly selectors: readonly string[]
    readonly entry?: () => Entry
    readonly identity?: string
    readonly cause: string
    readonly detail: RegExp
    /** A regular expression where the remedy is a decision, not a command. */
    readonly mend: 'run' | RegExp
  }
  const cases: readonly Case[] = [
    {
      what: 'the parent of the entry is mistyped',
      name: 'parentless',
      selectors: ['wasmcloud:component:parentless', 'wasmcloud:namespace:shop'],
      entry: () => ({ parentId: 'spiffe://example.org/wasm-hots', options: ['-jwtSVIDTTL', '120', '-hint', 'main'] }),
      cause: 'entry-parent-unknown',
      detail: /parent spiffe:\/\/example\.org\/wasm-hots is no agent, and no entry has that SPIFFE ID$/,
      mend: 'run',
    },
    {
      what: 'the entry is for the host of another node',
      name: 'elsewhere',
      selectors: ['wasmcloud:component:elsewhere'],
      entry: () => ({ parentId: otherAgent }),
      cause: 'entry-parent-elsewhere',
      detail:
        /agent-b is below spiffe:\/\/example\.org\/spire\/agent\/join_token\/\S+, not below the agent of this host/,
      mend: 'run',
    },
    {
      what: 'the entry has expired, though the agent still issues it',
      name: 'expired',
      selectors: ['wasmcloud:component:expired'],
      entry: () => ({ options: ['-entryExpiry', '1700000000'] }),
      cause: 'entry-expired',
      detail: /it has expired at 2023-11-14T22:13:20\.000Z/,
      mend: 'run',
    },
    {
      what: 'the entry is for an SVIDStore plugin',
      name: 'stored',
      selectors: ['wasmcloud:component:stored'],
      entry: () => ({ options: ['-storeSVID'] }),
      cause: 'entry-stored',
      detail: /its SVIDs go to an SVIDStore plugin, and to no workload/,
      mend: 'run',
    },
    {
      what: 'whoever has the entry may manage the server',
      name: 'powerful',
      selectors: ['wasmcloud:component:powerful'],
      entry: () => ({ options: ['-admin'] }),
      cause: 'entry-withheld',
      detail: /agents give that to no delegate$/,
      mend: 'run',
    },
    {
      what: 'the key of a selector is mistyped',
      name: 'mistyped',
      selectors: ['wasmcloud:componet:mistyped', 'wasmcloud:namespace:shop'],
      cause: 'entry-selector-unknown',
      detail: /wants wasmcloud:componet:mistyped, a key that no host states: it states wasmcloud:component:mistyped$/,
      mend: 'run',
    },
    {
      what: 'the type of a selector is mistyped',
      name: 'wrong-type',
      selectors: ['wasmcould:component:wrong-type'],
      cause: 'entry-selector-type',
      detail: /of a type that is never stated of a component: it states wasmcloud:component:wrong-type$/,
      mend: 'run',
    },
    {
      what: 'the entry also wants what only a container has',
      name: 'in-a-pod',
      selectors: ['wasmcloud:component:in-a-pod', 'k8s:ns:shop'],
      cause: 'entry-selector-type',
      detail: /wants k8s:ns:shop, of a type that is never stated of a component$/,
      mend: /^herald trust spire in-a-pod\.yaml /,
    },
    {
      what: 'the entry is for a component of that name in another namespace',
      name: 'neighbour',
      selectors: ['wasmcloud:component:neighbour', 'wasmcloud:namespace:store'],
      cause: 'entry-does-not-match',
      detail: /wants wasmcloud:namespace:store, which .*: it states wasmcloud:namespace:shop$/,
      mend: /^herald trust spire neighbour\.yaml /,
    },
    {
      what: 'the entry wants a label that the host has not',
      name: 'labelled',
      selectors: ['wasmcloud:component:labelled', 'wasmcloud:host-label:zone:z1'],
      cause: 'entry-does-not-match',
      detail: /wants wasmcloud:host-label:zone:z1, which this host would not state$/,
      mend: /^herald trust spire labelled\.yaml /,
    },
    {
      what: 'spiffe-id is of another trust domain',
      name: 'far-away',
      selectors: ['wasmcloud:component:far-away'],
      identity: ', spiffe-id: "spiffe://example.com/shop/api"',
      cause: 'spiffe-id-trust-domain',
      detail: /another trust domain than the SPIRE server, example\.org$/,
      mend: /^write spiffe-id: "spiffe:\/\/example\.org\/shop\/api" in far-away\.yaml$/,
    },
    {
      what: 'no entry has the spiffe-id',
      name: 'unentered',
      selectors: ['wasmcloud:component:unentered'],
      identity: ', spiffe-id: "spiffe://example.org/shop/apis"',
      cause: 'spiffe-id-without-entry',
      detail: /entry \S+, which matches, has spiffe:\/\/example\.org\/shop\/api$/,
      mend: /^write spiffe-id: "spiffe:\/\/example\.org\/shop\/api" in unentered\.yaml/,
    },
    {
      what: 'the entry of the spiffe-id wants more than is stated, while another matches',
      name: 'chosen',
      selectors: ['wasmcloud:component:chosen', 'wasmcloud:environment:production'],
      entry: () => ({ spiffeId: 'spiffe://example.org/shop/production' }),
      identity: ', spiffe-id: "spiffe://example.org/shop/production"',
      cause: 'entry-does-not-match',
      detail: /of spiffe:\/\/example\.org\/shop\/production, wants wasmcloud:environment:production/,
      mend: /^herald trust spire chosen\.yaml /,
    },
  ]

  test('each of these has its one cause, and what is said to mend it does', async (t) => {
    await create(spire, ['wasmcloud:component:chosen'])
    for (const { selectors, entry } of cases) await create(spire, selectors, entry?.())
    // The youngest: once the agent issues it, it has all the others.
    await create(spire, ['wasmcloud:component:last'])
    await untilMended(explainer.manifest('last', identityOf('a')))
    const remedies = new Map<string, string>()
    for (const { what, name, identity, cause: expected, detail, mend: remedy } of cases) {
      await t.test(`${what}: ${expected}`, async () => {
        const file = explainer.manifest(name, identityOf('a', identity))
        const cause = await causeOf(file)
        assert.equal(cause?.name, expected, JSON.stringify(cause))
        assert.match(cause.detail, detail)
        if (remedy === 'run') remedies.set(file, cause.mend)
        else assert.match(cause.mend, remedy)
      })
    }
    await t.test('the commands that are said to mend them do, and change nothing else', async () => {
      for (const remedy of remedies.values()) {
        const [program, ...args] = remedy.replaceAll('\\\n', '').split(/\s+/)
        assert.equal(program, 'spire-server')
        await spireServer(spire, args)
      }
      assert.equal(remedies.size, 7)
      for (const file of remedies.keys()) await untilMended(file)
      const { json } = await explainer.explain('parentless.yaml', socketsOf(spire))
      const [found] = json.entries?.matching ?? []
      assert.deepEqual([found?.entry.hint, found?.entry.jwtSvidTtlS], ['main', 120])
    })
  })

  test('without the agent the server alone says which entry matches, and which would not reach any host', async () => {
    const options = { spireAdminSocket: undefined as never }
    assert.equal(await causeOf('last.yaml', options), undefined)
    await create(spire, ['wasmcloud:component:alone'], { parentId: 'spiffe://example.org/nobody' })
    const cause = await causeOf(explainer.manifest('alone', identityOf('a')), options)
    assert.equal(cause?.name, 'entry-parent-unknown')
    assert.match(cause?.mend ?? '', /-parentID SPIFFE-ID-OF-THE-HOST /)
  })

  test('the report for people shows agent, entries, hints, lifetimes, and what is withheld', async () => {
    await create(spire, ['wasmcloud:component:last', 'wasmcloud:namespace:shop'], {
      options: ['-admin', '-hint', 'the second', '-jwtSVIDTTL', '240'],
    })
    await create(spire, ['wasmcloud:component:last', 'wasmcloud:namespace:other'])
    const { text } = await explainer.explain('last.yaml', { ...socketsOf(spire), output: 'text' })
    assert.match(text, /Agent: spiffe:\/\/example\.org\/spire\/agent\/join_token\/\S+, last synced 20\d\d-/)
    assert.match(
      text,
      /Registration entries, of \d+ on the server:\n {2}matches {3}spiffe:\/\/example\.org\/shop\/api /,
    )
    assert.match(
      text,
      /parent spiffe:\/\/example\.org\/wasm-host, hint "the second", JWT-SVIDs of 240 s\)\n {12}but it has admin/,
    )
    assert.match(
      text,
      /does not .*\n {12}wants wasmcloud:namespace:other: another value; stated is wasmcloud:namespace:shop/,
    )
  })

  test('another socket in its place is told as that, and so is a server that is away', async () => {
    const explain = (options: Partial<ExplainOptions>) =>
      explainer.explain('last.yaml', { ...socketsOf(spire), ...options })
    await assert.rejects(explain({ spireServerSocket: spire.workloadSocketPath }), {
      ...{ code: 'ERR_SPIRE_WRONG_SOCKET', hint: /server's own socket/ },
    })
    await assert.rejects(explain({ spireServerSocket: join(explainer.directory, 'no.sock') }), {
      ...{ code: 'ERR_SPIRE_UNREACHABLE', exitCode: 4, hint: /start the SPIRE server/ },
    })
    await assert.rejects(explain({ entries: 'x.json' }), { code: 'ERR_USAGE' })
  })

  // An agent of another trust domain that takes over nothing for an hour, once it has 5 s after its start, whatever sync_interval says.
  describe('when the agent has not what the server has', () => {
    before(() => settled)
    const ask = async (file: string, sockets: Partial<ExplainOptions> = {}) =>
      (await explainer.explain(file, { ...socketsOf(slow), ...sockets })).json.cause

    test('an entry that the agent has not taken over yet is told as that', async () => {
      // Younger by a whole second: SPIRE counts in those.
      await sleep(1_100)
      await create(slow, ['wasmcloud:component:young'], { spiffeId: 'spiffe://slow.example/young' })
      const cause = await ask(explainer.manifest('young', identityOf('a')))
      assert.equal(cause?.name, 'entry-not-synced', JSON.stringify(cause))
    })

    test('an identity whose entry is deleted, and that the agent still issues, is told as that', async () => {
      const file = explainer.manifest('kept', identityOf('a'))
      assert.equal(await ask(file), undefined)
      await slow.deleteEntry(kept)
      assert.equal((await ask(file))?.name, 'entry-gone')
    })

    test("another server's socket is told as that", async () => {
      const cause = await ask('young.yaml', { spireServerSocket: spire.serverSocketPath })
      assert.equal(cause?.name, 'server-of-another-trust-domain')
      assert.match(cause.detail, /the trust domain slow\.example, the server of example\.org$/)
    })

    test('of several pages of entries each is read', async () => {
      const service = { proto: 'entry.proto', name: 'spire.api.server.entry.v1.Entry' }
      const channel = openSpireChannel(slow.serverSocketPath, service)
      const id = (path: string) => ({ trust_domain: 'slow.example', path })
      const entries = Array.from({ length: 1_100 }, (_, index) => ({
        ...{ spiffe_id: id(`/many/${index}`), parent_id: id('/wasm-host') },
        selectors: [{ type: 'wasmcloud', value: `component:many-${index}` }],
      }))
      type Created = { results: readonly { status: { code: number } }[] }
      const signal = AbortSignal.timeout(60_000)
      const { results } = await channel.ask<Created>('BatchCreateEntry', { entries }, { signal })
      channel.close()
      assert.ok(results.every(({ status }) => status.code === 0))
      const { json } = await explainer.explain('young.yaml', socketsOf(slow))
      assert.ok((json.entries?.count ?? 0) > 1_100)
      assert.equal(json.cause?.name, 'entry-not-synced')
    })

    test('an agent that the server has banned or forgotten is told as that', async () => {
      const [agent] = JSON.parse(await spireServer(slow, ['agent', 'list', '-output', 'json'])).agents
      const spiffeId = `spiffe://${agent.id.trust_domain}${agent.id.path}`
      await spireServer(slow, ['agent', 'ban', '-spiffeID', spiffeId])
      assert.equal((await ask('young.yaml'))?.name, 'agent-banned')
      await spireServer(slow, ['agent', 'evict', '-spiffeID', spiffeId])
      assert.equal((await ask('young.yaml'))?.name, 'agent-unknown')
    })
  })
})
