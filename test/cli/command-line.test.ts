import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse as parseYaml } from 'yaml'
import { buildComponents } from '../../scripts/build-components.ts'
import { createCredentialsCapability } from '../../src/capabilities/credentials/credentials-capability.ts'
import { createCredentialFilesCapability } from '../../src/capabilities/credentials/files-capability.ts'
import { createEgressCapability } from '../../src/capabilities/egress/egress-capability.ts'
import { createHeraldIdentityCapability } from '../../src/capabilities/herald-identity/herald-identity-capability.ts'
import { createIdentityCapability } from '../../src/capabilities/identity/identity-capability.ts'
import { assessComponent, capabilityInterfaces } from '../../src/cli/assess-component.ts'
import { createBackedCapabilities } from '../../src/cli/backed-capabilities.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createLog } from '../../src/observability/log.ts'
import { runHerald, systemNode } from './herald-process.ts'

const directory = await mkdtemp(join(tmpdir(), 'herald-cli-'))
after(() => rm(directory, { recursive: true }))
const components = await buildComponents(['hello-c', 'whoami-c', 'ledger-c', 'teller-c'])

test('the command started by the Node of the machine runs on Node 26', async () => {
  const { exitCode, stdout } = await runHerald(['version', '--output', 'json'])
  const started = execFileSync(systemNode(), ['--version']).toString()
  assert.equal(exitCode, 0)
  assert.match(JSON.parse(stdout).node, /^26\./, `started by ${started}`)
})

test('--help of every command has a description, and of every option', async () => {
  for (const command of [
    [],
    ['dev'],
    ['host'],
    ['host', 'drain'],
    ['up'],
    ['deploy'],
    ['delete'],
    ['scale'],
    ['get'],
    ['describe'],
    ['logs'],
    ['call'],
    ['oci', 'push'],
    ['oci', 'pull'],
    ['oci', 'inspect'],
    ['config', 'set'],
    ['config', 'list'],
    ['new'],
    ['build'],
    ['inspect'],
    ['identity'],
    ['identity', 'token'],
    ['identity', 'explain'],
    ['trust'],
    ['trust', 'aws'],
    ['trust', 'spire'],
    ['completion'],
    ['version'],
  ]) {
    const { exitCode, stdout, stderr } = await runHerald([...command, '--help'])
    assert.equal(exitCode, 0, command.join(' '))
    assert.equal(stderr, '')
    assert.match(stdout, new RegExp(`^Usage: herald ${command.join(' ')}`))
    for (const line of stdout.split('\n').filter((text) => /^ {2}-/.test(text))) {
      assert.match(line, /^ {2}(-\w, )?--?[\w-]+( <[\w=]+>)? {2,}\S|^ {2}--[\w-]+ <[\w=]+>$/, line)
    }
  }
})

for (const { args, problem } of [
  { args: ['dve'], problem: "ERR_USAGE: unknown command 'dve' — Did you mean dev?" },
  { args: ['dev', '--htp', ':80'], problem: "ERR_USAGE: unknown option '--htp' — Did you mean --http?" },
  {
    args: ['dev', '--http', 'localhost'],
    problem:
      "ERR_USAGE: option '--http <address>' argument 'localhost' is invalid. write ADDRESS:PORT, such as 127.0.0.1:8000 or [::1]:8000 — see: herald dev --help",
  },
  {
    args: ['dev', '--drain-timeout', '10'],
    problem:
      "ERR_USAGE: option '--drain-timeout <duration>' argument '10' is invalid. write a number and its unit: 500ms, 20s, 2m (at most 24h) — see: herald dev --help",
  },
  {
    args: ['dev', 'no-such.wasm'],
    problem:
      'ERR_MANIFEST_NOT_FOUND: no-such.wasm: no such file or directory — name a .wasm component, a manifest, or a directory with one of them',
  },
  {
    args: ['host'],
    problem:
      'ERR_USAGE: there is nothing to run, and nobody to take work from — give -f MANIFEST, or --nats URL to take work from the operator',
  },
  {
    args: ['host', '-f', 'w.yaml'],
    problem:
      'ERR_USAGE: no SPIRE admin socket was named — give --spire-admin-socket PATH or SPIRE_ADMIN_ENDPOINT_SOCKET, or try without SPIRE: herald dev',
  },
]) {
  test(`herald ${args.join(' ')} ends with 2 and says what to do`, async () => {
    const { exitCode, stdout, stderr } = await runHerald(args, { cwd: directory })
    assert.deepEqual({ exitCode, stdout, stderr: stderr.trimEnd() }, { exitCode: 2, stdout: '', stderr: problem })
  })
}

test('--output yaml is the JSON as a document of YAML, for every command; errors stay JSON', async () => {
  const json = await runHerald(['version', '--output', 'json'])
  const yaml = await runHerald(['version', '--output', 'yaml'])
  assert.deepEqual(parseYaml(yaml.stdout), JSON.parse(json.stdout))
  const wide = await runHerald(['version', '--output', 'wide'])
  assert.match(wide.stdout, /^herald \d/)
  const failed = await runHerald(['dev', 'none.yaml', '--output', 'yaml'], { cwd: directory })
  assert.equal(JSON.parse(failed.stderr).error.code, 'ERR_MANIFEST_NOT_FOUND')
})

test('herald alone prints the help on standard error and ends with 2', async () => {
  const { exitCode, stdout, stderr } = await runHerald([])
  assert.equal(exitCode, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^Usage: herald[\s\S]*ERR_USAGE: no command was given/)
})

test('with --output json an error is one JSON object on standard error, with all problems of a manifest', async () => {
  await writeFile(
    join(directory, 'bad.yaml'),
    'apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: Workload\nmetadata: {name: A}\nspec:\n  components: [{name: api, image: "file://no.wasm"}]\n',
  )
  const { exitCode, stderr } = await runHerald(['dev', 'bad.yaml', '--output', 'json'], { cwd: directory })
  assert.equal(exitCode, 2)
  const { error } = JSON.parse(stderr)
  assert.deepEqual(
    error.problems.map(({ code, where }: { code: string; where: object }) => ({ code, where })),
    [
      { code: 'ERR_MANIFEST_INVALID', where: { file: 'bad.yaml', line: 3, column: 18, key: 'metadata.name' } },
      {
        code: 'ERR_IMAGE_NOT_FOUND',
        where: { file: 'bad.yaml', line: 5, column: 35, key: 'spec.components[0].image' },
      },
    ],
  )
  const text = await runHerald(['dev', 'bad.yaml'], { cwd: directory })
  assert.match(
    text.stderr,
    /^ERR_MANIFEST_INVALID: bad\.yaml:3:18 \(metadata\.name\): .*\nERR_IMAGE_NOT_FOUND: bad\.yaml:5:35 /,
  )
})

test('a stack is shown with --verbose only', async () => {
  const quiet = await runHerald(['dev', 'none.yaml'], { cwd: directory })
  const verbose = await runHerald(['dev', 'none.yaml', '--verbose'], { cwd: directory })
  assert.doesNotMatch(quiet.stderr, /\n\s+at /)
  assert.match(verbose.stderr, /\n\s+at .*dev-target\.ts/)
})

test('herald inspect lists what a component imports and exports, and ends with 0 for one that runs', async () => {
  const file = components.get('whoami-c') ?? ''
  const { exitCode, stdout } = await runHerald(['inspect', file, '--output', 'json'])
  const { imports, exports, ...facts } = JSON.parse(stdout)
  assert.equal(exitCode, 0)
  assert.equal(facts.runnable, true)
  assert.match(facts.sha256, /^[0-9a-f]{64}$/)
  assert.ok(imports.some((found: object) => 'capability' in found && found.capability === 'identity'))
  assert.deepEqual(
    exports.map(({ startedBy }: { startedBy: string }) => startedBy),
    ['http'],
  )
  const text = await runHerald(['inspect', file])
  assert.match(text.stdout, /wasmcloud:identity\/store@0\.0\.1 +served to workloads that list it/)
  assert.match(text.stdout, /This host runs it\.\n$/)
})

test('herald inspect says what would be linked to another component, and what others may call', async () => {
  const teller = await runHerald(['inspect', components.get('teller-c') ?? ''])
  assert.equal(teller.exitCode, 0)
  assert.match(teller.stdout, /acme:ledger\/accounts@0\.1\.0 +linked to another component of its workload/)
  const ledger = await runHerald(['inspect', components.get('ledger-c') ?? ''])
  assert.equal(ledger.exitCode, 0)
  assert.match(
    ledger.stdout,
    /acme:ledger\/accounts@0\.1\.0 +called by other components\n +balance\(account: string\) -> result<u64, /,
  )
})

test('herald inspect ends with 2 for what is no component', async () => {
  const empty = join(directory, 'empty.wasm')
  await writeFile(empty, '')
  const { exitCode, stderr } = await runHerald(['inspect', empty])
  assert.equal(exitCode, 2)
  assert.match(stderr, /^ERR_COMPONENT_NOT_RUNNABLE: .*empty\.wasm: /)
})

test('an import is refused with its reason: unknown, or of another WASI', () => {
  const named = (name: string) => ({ name, functions: [] })
  const { runnable, refusals } = assessComponent({
    imports: [
      'wasi:io/streams@0.2.99',
      'wasi:http/types@0.3.0',
      'acme:db/query@1.0.0',
      'wasmcloud:identity/store@0.0.2',
    ].map(named),
    exports: [named('acme:db/serve')],
    sizeBytes: 1,
    coreModules: 1,
    minimumMemoryBytes: 2 ** 30,
    sha256: '',
    glue: { slim: true },
    answersOnce: false,
  })
  assert.equal(runnable, false)
  assert.deepEqual(refusals, [
    'it imports wasi:http/types@0.3.0: this host serves WASI 0.2',
    'it imports acme:db/query@1.0.0: this host does not serve it',
    'it imports wasmcloud:identity/store@0.0.2: this host does not serve it',
    'it exports neither wasi:http/incoming-handler nor wasi:cli/run, nor functions for other components, so there is nothing to start',
    'it needs at least 1024 MiB of memory, and a component gets 256 MiB',
  ])
})

test('herald inspect knows the interfaces of every capability a host is given', async () => {
  const svids = { open: () => assert.fail('not asked'), heldCount: () => 0, async [Symbol.asyncDispose]() {} }
  const options = { svids, fetch, loopbackEndpoints: false, log: createLog({ level: 'silent' }), clock: systemClock }
  await using identity = createIdentityCapability(options)
  const verifier = { verify: () => assert.fail('not asked') }
  await using heraldIdentity = createHeraldIdentityCapability({ ...options, verifier })
  await using credentials = createCredentialsCapability(options)
  await using files = createCredentialFilesCapability(options)
  await using egress = createEgressCapability(options)
  await using backed = createBackedCapabilities({ ...options, verifier })
  assert.deepEqual(
    capabilityInterfaces,
    [identity, heraldIdentity, credentials, files, egress, ...backed.all].flatMap(({ name, interfaces }) =>
      interfaces.map((served) => ({ capability: name, interface: served })),
    ),
  )
})

test('herald identity token --ephemeral says what a token would say, and prints the token only with --raw', async () => {
  const args = ['identity', 'token', '--audience', 'a', '--audience', 'b', '--component', 'api', '--ephemeral']
  const { exitCode, stdout, stderr } = await runHerald([...args, '--output', 'json'])
  assert.equal(exitCode, 0)
  const { claims } = JSON.parse(stdout)
  assert.equal(claims.sub, 'spiffe://development.local/default/api')
  assert.deepEqual(claims.aud, ['a', 'b'])
  const text = await runHerald(args)
  assert.match(text.stdout, /^subject +spiffe:\/\/development\.local\/default\/api\naudience +a, b\n/)
  assert.match(text.stderr, /nobody can verify/)
  for (const output of [stdout, stderr, text.stdout, text.stderr])
    assert.doesNotMatch(output, /eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  const raw = await runHerald([...args, '--raw'])
  assert.match(raw.stdout, /^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
})

test('without a running herald dev a token is refused, with what to do', async () => {
  const { exitCode, stderr } = await runHerald(['identity', 'token', '--audience', 'a'], {
    env: { XDG_RUNTIME_DIR: directory },
  })
  assert.equal(exitCode, 2)
  assert.match(stderr, /^ERR_USAGE: no herald dev of this user runs — /)
})

test('the development authority does not start in Kubernetes', async () => {
  const { exitCode, stderr } = await runHerald(['dev', components.get('hello-c') ?? '', '--http', '0'], {
    env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' },
  })
  assert.equal(exitCode, 2)
  assert.match(stderr, /ERR_DEVELOPMENT_IN_KUBERNETES/)
})

test('the bash completion completes commands, subcommands, options and choices', async () => {
  const { stdout: script } = await runHerald(['completion', 'bash'])
  await writeFile(join(directory, 'herald.bash'), script)
  const complete = (...words: string[]): string[] => {
    const program = `source herald.bash; COMP_WORDS=(herald "$@"); COMP_CWORD=$#; _herald; printf '%s\\n' "\${COMPREPLY[@]}"`
    const output = execFileSync('bash', ['-c', program, 'bash', ...words], { cwd: directory }).toString()
    return output.split('\n').filter((word) => word !== '' && !word.includes('.'))
  }
  assert.deepEqual(complete('d'), ['dev', 'deploy', 'delete', 'describe'])
  assert.deepEqual(complete('identity', 't'), ['token'])
  assert.deepEqual(complete('identity', 'token', '--comp'), ['--component'])
  assert.deepEqual(complete('dev', '--output', ''), ['text', 'wide', 'json', 'yaml'])
  assert.deepEqual(complete('get', 'h'), ['hosts'])
  assert.deepEqual(complete('host', 'd'), ['drain'])
  assert.deepEqual(complete('deploy', '--pus'), ['--push'])
  assert.deepEqual(complete('oci', 'p'), ['push', 'pull'])
  assert.deepEqual(complete('new', 'j'), ['js'])
  assert.deepEqual(complete('completion', 'f'), ['fish'])
})

test('the zsh and fish completions name every command', async () => {
  for (const shell of ['zsh', 'fish']) {
    const { exitCode, stdout } = await runHerald(['completion', shell])
    assert.equal(exitCode, 0)
    for (const word of ['dev', 'host', 'inspect', 'token', 'completion', 'audience'])
      assert.ok(stdout.includes(word), `${shell}: ${word}`)
  }
})

test('nothing is coloured where there is no terminal, and nothing on one when NO_COLOR is set', async () => {
  const { stderr } = await runHerald(['dve'])
  assert.ok(!stderr.includes('\u001b'))
  const onTerminal = (prefix: string): string =>
    execFileSync('script', ['-qec', `${prefix} ${systemNode()} bin/herald.js dve`, '/dev/null'], {
      cwd: join(import.meta.dirname, '..', '..'),
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH ?? '', TERM: 'xterm' },
      // `script -e` gives the command's own exit code, 2, which execFileSync would throw for.
      shell: false,
    } as const).toString()
  for (const [prefix, colored] of [
    ['env', true],
    ['env NO_COLOR=1', false],
  ] as const) {
    let output = ''
    try {
      output = onTerminal(prefix)
    } catch (error) {
      output = String((error as { stdout: Buffer }).stdout)
    }
    assert.match(output, /unknown command 'dve'/)
    assert.equal(output.includes('\u001b[31m'), colored, JSON.stringify(output))
  }
})
