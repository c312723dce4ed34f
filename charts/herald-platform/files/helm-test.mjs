// What `helm test` runs, in Herald's image. It plays the operator's part on the lattice: finds a host, deploys a component there, asks it for its token,
// verifies the token, has it traded, and undeploys the component. A line a step; exit code 1 says which step failed and why. It never prints a token.
import { createPublicKey, randomUUID, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { createRequire } from 'node:module'

const { env } = process
const component = JSON.parse(env.COMPONENT)
const signal = AbortSignal.timeout(Number(env.TIMEOUT_SECONDS) * 1000)
const workloadId = randomUUID()
const hostHeader = `${component.name}-${workloadId.slice(0, 8)}.invalid`
let failed = false

class StepFailed extends Error {}
process.on('uncaughtException', (error) => {
  if (!(error instanceof StepFailed)) console.log(`✖ ${error.stack}`)
  process.exit(1)
})

await step('the hosts answer', async () => {
  const { status } = await retried(() => call('GET', env.HERALD_URL, '/', hostHeader))
  if (status !== 404)
    throw new Error(`${env.HERALD_URL} answered ${status} for a host name that nobody serves, not 404`)
  return env.HERALD_URL
})
if (env.NATS_SERVERS === '') note('no lattice is asked', 'lattice.servers is empty and nats.enabled is false')
else await testOnLattice()
process.exit(failed ? 1 : 0)

async function testOnLattice() {
  const nats = await step('NATS accepts the connection', connect)
  const host = await step('a host of this release is on the lattice', () => findHost(nats))
  if (component.image === '') {
    note('nothing is deployed', 'tests.component.image is empty')
    return
  }
  try {
    await step('the component is deployed', async () => {
      const { workloadState, message } = await ask(nats, host, 'start', { workloadId, workload: workload() }, 60_000)
      if (workloadState !== 'WORKLOAD_STATE_RUNNING') throw new Error(`${workloadState}: ${message}`)
      return component.image
    })
    await testComponent(`http://${host.hostname.includes(':') ? `[${host.hostname}]` : host.hostname}:${host.httpPort}`)
  } finally {
    await step('the component is undeployed', async () => {
      await ask(nats, host, 'stop', { workloadId }, 30_000)
      // The answer may come while requests in flight are finished.
      const ended = AbortSignal.timeout(30_000)
      await retried(async () => {
        const { status } = await call('GET', `http://${host.hostname}:${host.httpPort}`, '/', hostHeader)
        if (status !== 404) throw new Error(`it still answers, with ${status}`)
      }, ended)
      return 'it is gone'
    })
    await nats.close()
  }
}

async function testComponent(url) {
  const { token } = await step('the component gets its token', async () => {
    const { status, body } = await retried(async () => {
      const answer = await call('POST', url, '/api/v1/token', hostHeader)
      // An entry takes some seconds to reach the agent.
      if (answer.status === 403 || answer.status === 503) throw new Error(`${answer.status} ${describe(answer.body)}`)
      return answer
    })
    if (status !== 200) throw new Error(`${status} ${describe(body)}`)
    const { subject, token } = JSON.parse(body)
    return { said: subject, token }
  })
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
  await step('the token is what it should be', () => {
    const expected = `spiffe://${env.TRUST_DOMAIN}/${env.LATTICE}/${component.name}`
    if (claims.sub !== expected)
      throw new Error(`its subject is ${claims.sub}, not ${expected}: compare the entries with spire-server entry show`)
    if (![claims.aud].flat().includes(component.audience))
      throw new Error(`its audience is ${claims.aud}, not ${component.audience}`)
    const lifetimeS = claims.exp - Date.now() / 1000
    if (!(lifetimeS > 0))
      throw new Error(`it has expired at ${new Date(claims.exp * 1000).toISOString()}: compare the clocks`)
    return `for ${component.audience}, for ${Math.round(lifetimeS)} s more`
  })
  if (env.ISSUER === '') note('the signature is not verified', 'tests.issuer is empty')
  else await step('the issuer vouches for it', () => verifySignature(token, header, claims))
  if (env.EXCHANGE !== 'true') note('nothing is traded', 'tests.exchange is false')
  else {
    await step('it is traded for credentials', async () => {
      const { status, body } = await call('POST', url, '/api/v1/exchange', hostHeader)
      if (status !== 200) throw new Error(`${status} ${describe(body)}`)
      return `until ${JSON.parse(body).credentialsExpireAt}`
    })
  }
}

/** Upstream's `Workload` message, as the operator would send it. */
function workload() {
  const localResources = {
    environment: { HERALD_AUDIENCE: component.audience, ...component.environment },
    allowedHosts: component.allowedHosts,
  }
  return {
    namespace: 'default',
    name: `${component.name}-${workloadId.slice(0, 8)}`,
    witWorld: {
      components: [{ name: component.name, image: component.image, localResources }],
      hostInterfaces: [
        { namespace: 'wasi', package: 'http', interfaces: ['incoming-handler'], config: { host: hostHeader } },
        {
          namespace: 'wasmcloud',
          package: 'identity',
          interfaces: ['store'],
          version: '0.0.1',
          config: { audiences: component.audience },
        },
      ],
    },
  }
}

async function connect() {
  const {
    connect: connectNats,
    credsAuthenticator,
    nkeyAuthenticator,
  } = createRequire(`${env.HERALD_ROOT ?? '/herald'}/`)('nats')
  const secret = () => readFileSync(`/etc/herald/nats-credentials/${env.NATS_CREDENTIALS}`)
  const credentials = {
    none: () => ({}),
    creds: () => ({ authenticator: credsAuthenticator(secret()) }),
    nkey: () => ({ authenticator: nkeyAuthenticator(Buffer.from(secret().toString().trim())) }),
    token: () => ({ token: secret().toString().trim() }),
  }
  const tls = {
    ...(env.NATS_CA && { caFile: env.NATS_CA }),
    ...(env.NATS_CLIENT && { certFile: `${env.NATS_CLIENT}/tls.crt`, keyFile: `${env.NATS_CLIENT}/tls.key` }),
    ...(env.NATS_TLS_FIRST === 'true' && { handshakeFirst: true }),
  }
  const options = {
    servers: env.NATS_SERVERS.split(',').map((url) => url.replace(/^tls:/, 'nats:')),
    name: 'helm-test',
    ...credentials[env.NATS_CREDENTIALS](),
    ...((Object.keys(tls).length > 0 || env.NATS_SERVERS.includes('tls://')) && { tls }),
  }
  const nats = await retried(() => connectNats(options))
  return Object.assign(nats, { said: nats.getServer() })
}

/** The first host of this release and group that takes work; they are asked every second. */
async function findHost(nats) {
  const inbox = `_INBOX.${randomUUID()}`
  const answers = nats.subscribe(inbox)
  const askAll = () => nats.publish('herald.hosts', '{}', { reply: inbox })
  const asking = setInterval(askAll, 1000)
  signal.addEventListener('abort', () => answers.unsubscribe(), { once: true })
  try {
    askAll()
    for await (const { data } of answers) {
      // NATS itself answers with nothing while nobody listens.
      if (data.length === 0) continue
      const { heartbeat: host, acceptsWork } = JSON.parse(Buffer.from(data).toString())
      const ours = host.friendlyName.startsWith(env.HOST_NAME_PREFIX) && host.labels?.hostgroup === env.HOST_GROUP
      if (!ours || !acceptsWork || (host.environment ?? '') !== env.ENVIRONMENT) continue
      return { ...host, said: `${host.friendlyName}, ${host.hostname}:${host.httpPort}` }
    }
  } finally {
    clearInterval(asking)
    answers.unsubscribe()
  }
  throw new Error(
    `no host named ${env.HOST_NAME_PREFIX}… of group ${env.HOST_GROUP} answered within ${env.TIMEOUT_SECONDS} s`,
  )
}

async function ask(nats, host, what, message, timeout) {
  const reply = await nats.request(`runtime.host.${host.id}.workload.${what}`, Buffer.from(JSON.stringify(message)), {
    timeout,
  })
  return JSON.parse(Buffer.from(reply.data).toString()).workloadStatus
}

async function verifySignature(token, header, claims) {
  if (claims.iss !== env.ISSUER) throw new Error(`it was issued by ${claims.iss}, not ${env.ISSUER}`)
  const discovery = await json(`${env.ISSUER}/.well-known/openid-configuration`)
  const { keys } = await json(discovery.jwks_uri)
  const jwk = keys.find(({ kid }) => kid === header.kid)
  if (!jwk) throw new Error(`${discovery.jwks_uri} has no key ${header.kid}`)
  const hashes = { ES256: 'sha256', ES384: 'sha384', RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' }
  const hash = Object.hasOwn(hashes, header.alg) ? hashes[header.alg] : undefined
  if (!hash) throw new Error(`its algorithm ${header.alg} is not known to this test`)
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }
  const dot = token.lastIndexOf('.')
  const genuine = verify(hash, Buffer.from(token.slice(0, dot)), key, Buffer.from(token.slice(dot + 1), 'base64url'))
  if (!genuine) throw new Error('its signature is not of that key')
  return `${env.ISSUER}, ${header.alg}`
}

async function step(name, run) {
  try {
    const result = await run()
    console.log(`✔ ${name}: ${typeof result === 'string' ? result : result.said}`)
    return result
  } catch (error) {
    console.log(`✖ ${name}: ${error.cause?.message ?? error.message}`)
    failed = true
    // What was deployed is undeployed all the same.
    if (name !== 'the component is undeployed') throw new StepFailed()
  }
}

function note(what, why) {
  console.log(`- ${what}: ${why}`)
}

/** Hosts, entries and agents may still be on their way. */
async function retried(attempt, until = signal) {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (until.aborted) throw new Error(`not in time; at last: ${error.message}`)
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
  }
}

function call(method, url, path, host) {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { host }, signal: AbortSignal.timeout(15_000) }
    const outgoing = request(new URL(path, url), options, async (response) => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve({ status: response.statusCode, body })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

async function json(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(15_000) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return response.json()
}

/** The reason in an error's body: of Herald `{error: {code, reason}}`, of the component `{error: {code, message}}`. */
function describe(body) {
  try {
    const { code, reason, message } = JSON.parse(body).error
    return `${code}: ${reason ?? message}`
  } catch {
    return body.slice(0, 200)
  }
}
