// `npm run demo`: the main job on embedded defaults, step by step. Exit code 0 only when every step, the refusals included, went as it should.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, styleText } from 'node:util'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { parse, stringify } from 'yaml'
import { startAwsStandIns } from '../test/relying-parties/aws-stand-ins.ts'
import { freePort } from '../test/support/free-port.ts'
import { httpCall } from '../test/support/http-call.ts'
import { buildComponents } from './build-components.ts'

const usage = `usage: npm run demo [-- --keep] [--port N]

Runs the api-gateway component on a Herald host with the development authority, gets its token, trades it at a stand-in for AWS STS that
verifies it for real, and calls a stand-in for Bedrock with signed requests. A second component that has no right is refused.

  --keep     keep serving after the last step, and say what to curl; Ctrl-C ends it
  --port N   where HTTP is served on 127.0.0.1 (default 8000 with --keep, else a free port)
`
const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    port: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write(usage)
  process.exit(0)
}

const root = join(import.meta.dirname, '..')
const audience = 'sts.amazonaws.com'
const colour = (style: 'bold' | 'dim' | 'green' | 'red', text: string) =>
  styleText(style, text, { stream: process.stdout })
let steps = 0
const step = (title: string) => console.log(`\n${colour('bold', `${++steps}. ${title}`)}`)
const show = (name: string, value: unknown) => console.log(`   ${colour('dim', name.padEnd(12))} ${value}`)
const expect = (condition: boolean, claim: string) => {
  if (!condition) throw new Error(`not as it should be: ${claim}`)
  console.log(`   ${colour('green', '✔')} ${claim}`)
}

const started = performance.now()
const workDir = mkdtempSync(join(tmpdir(), 'herald-demo-'))
let herald: ChildProcess | undefined
try {
  await demonstrate()
} catch (error) {
  console.error(
    `\n${colour('red', 'The demonstration failed:')} ${error instanceof Error ? error.message : String(error)}`,
  )
  process.exitCode = 1
} finally {
  await end(herald)
  rmSync(workDir, { recursive: true, force: true })
}

async function demonstrate(): Promise<void> {
  await buildComponents(['api-gateway'], { log: (line) => console.log(colour('dim', line)) })
  const [stsPort, bedrockPort] = [await freePort(), await freePort()]

  step('A host comes up: one process, two components, an identity for each')
  const manifest = join(workDir, 'workload.yaml')
  writeFileSync(manifest, [workload('api-gateway'), workload('batch-report', 'batch-report.localhost')].join('---\n'))
  const port = values.port ?? (values.keep ? '8000' : '0')
  herald = spawn(
    process.execPath,
    [join(root, 'bin/herald.js'), 'dev', manifest, '--http', `127.0.0.1:${port}`, '--output', 'json'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const ready = await firstLine(herald)
  show('serving', ready.http)
  show('issuer', `${ready.issuer}  (development)`)
  for (const { component, spiffeId } of ready.components) show(component, spiffeId)
  const [gateway, report] = ready.components
  if (gateway === undefined || report === undefined) throw new Error('herald dev did not start both components')
  await using aws = await startAwsStandIns({
    issuer: ready.issuer,
    audience,
    subjects: [gateway.spiffeId],
    ports: { sts: stsPort, bedrock: bedrockPort },
  })
  show('AWS', `stand-ins for STS (${aws.stsUrl}) and Bedrock (${aws.bedrockUrl})`)
  show('', `role ${aws.roleArn} trusts only ${gateway.spiffeId}`)

  step('api-gateway asks for its token: POST /api/v1/token')
  const token = await httpCall(`${ready.http}/api/v1/token`, { method: 'POST' })
  expect(token.status === 200, 'the host answers with the JWT-SVID of exactly this component')
  const { iss, sub, aud, exp = 0, iat = 0 } = decodeJwt(token.json().token)
  show('header', JSON.stringify(decodeProtectedHeader(token.json().token)))
  show('claims', JSON.stringify({ iss, sub, aud }))
  show('lifetime', `${exp - iat} s, until ${new Date(exp * 1000).toISOString()}`)
  expect(sub === gateway.spiffeId, `its subject is ${gateway.spiffeId}`)

  step('It trades the token for credentials: AssumeRoleWithWebIdentity, no AWS secret anywhere')
  const exchange = await httpCall(`${ready.http}/api/v1/exchange`, { method: 'POST' })
  expect(exchange.status === 200, 'STS found the issuer, verified signature, issuer, audience, subject and times')
  show('credentials', `${exchange.json().accessKeyId} until ${exchange.json().credentialsExpireAt}`)

  step('It calls Bedrock with them: POST /api/v1/bedrock')
  const story = await httpCall(`${ready.http}/api/v1/bedrock`, { method: 'POST' })
  expect(story.status === 200, 'Bedrock verified the SigV4 signature')
  show('model', story.json().model)
  show('story', story.json().story)

  step('What has no right is refused')
  const foreign = await httpCall(`${ready.http}/api/v1/token`, {
    method: 'POST',
    json: { audience: 'https://elsewhere.example' },
  })
  expect(foreign.status === 403, 'api-gateway gets no token for an audience that its manifest does not list')
  show('reason', foreign.json().error.message)
  const other = await httpCall(`${ready.http}/api/v1/bedrock`, { method: 'POST', host: 'batch-report.localhost' })
  expect(
    other.status === 403 && other.json().error.step === 'exchange',
    'batch-report, the same bytes in the same process, is another identity: STS refuses it',
  )
  show('reason', `${other.json().error.code}: ${other.json().error.message}`)

  console.log(`\n${colour('green', 'All as it should be')}, in ${((performance.now() - started) / 1000).toFixed(1)} s.`)
  if (!values.keep) return
  console.log(`
Still serving. Open ${ready.http}/ in a browser, or:
  curl -X POST ${ready.http}/api/v1/token
  curl -X POST ${ready.http}/api/v1/bedrock -H 'content-type: application/json' -d '{"prompt":"a story about a lighthouse"}'
  curl -X POST ${ready.http}/api/v1/bedrock -H 'Host: batch-report.localhost'      # refused
  curl ${ready.issuer}/.well-known/openid-configuration
Ctrl-C ends it.`)
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
    herald?.once('exit', () => resolve())
  })

  /** The component's own manifest, with the stand-ins' endpoints. */
  function workload(name: string, host?: string): string {
    const value = parse(readFileSync(join(root, 'components/api-gateway/workload.yaml'), 'utf8'))
    value.metadata.name = name
    const { components, hostInterfaces } = value.spec.template.spec
    const [component] = components
    component.name = name
    component.image = `file://${join(root, 'components/api-gateway/build/api-gateway.wasm')}`
    const endpoints = {
      AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${stsPort}`,
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: `http://127.0.0.1:${bedrockPort}`,
    }
    Object.assign(component.localResources.environment.config, endpoints)
    component.localResources.allowedHosts = Object.values(endpoints)
    if (host !== undefined) hostInterfaces[0].config = { host }
    return stringify(value)
  }
}

type Ready = { http: string; issuer: string; components: { component: string; spiffeId: string }[] }

/** `herald dev` says on one line of JSON that it serves; whatever it logs stays out of the way unless it fails. */
async function firstLine(child: ChildProcess): Promise<Ready> {
  let log = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  for await (const line of createInterface({ input: child.stdout! })) return JSON.parse(line)
  throw new Error(`herald dev ended before it served:\n${log}`)
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}
