import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { type AwsStandIns, startAwsStandIns } from '../relying-parties/aws-stand-ins.ts'
import { startLog } from '../support/log.ts'
import { type Minio, startMinio } from '../support/minio.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { type HostOnSpire, startHostOnSpire } from './spire-house.ts'

const audience = 'sts.amazonaws.com'
const idOf = (name: string) => `spiffe://example.org/default/${name}`

describe('the main job on a real SPIRE', () => {
  const cleanup = new AsyncDisposableStack()
  const entries = new Map<string, string>()
  let spire: Spire
  let minio: Minio
  let aws: AwsStandIns
  let host: HostOnSpire

  before(async () => {
    spire = cleanup.use(await startSpire())
    const log = startLog('aws-stand-ins')
    aws = cleanup.use(
      await startAwsStandIns({
        issuer: spire.issuer,
        audience,
        subjects: [idOf('api-gateway')],
        log: (line) => log.append(`${line}\n`),
      }),
    )
    minio = cleanup.use(await startMinio({ oidcConfigUrl: spire.discoveryUrl, clientId: audience }))
    await minio.makeBucket('letters')
    await minio.putObject('letters', 'greeting.txt', 'hello from the bucket')
    for (const name of ['api-gateway', 'reader', 'wrong-audience', 'whoami', 'leaver', 'ambiguous', 'chosen']) {
      const id = await spire.createEntry({
        spiffeId: idOf(name),
        selectors: [`wasmcloud:component:${name}`],
        waitForAgent: false,
      })
      entries.set(name, id)
    }
    for (const name of ['ambiguous', 'chosen']) {
      await spire.createEntry({ spiffeId: idOf(`${name}-too`), selectors: [`wasmcloud:component:${name}`] })
    }
    const atStandIns = {
      image: 'api-gateway',
      environment: {
        AWS_ROLE_ARN: aws.roleArn,
        AWS_ENDPOINT_URL_STS: aws.stsUrl,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME: aws.bedrockUrl,
      },
      allowedHosts: [aws.stsUrl, aws.bedrockUrl],
      identity: { audiences: audience },
    }
    const minioEnvironment = {
      AWS_ROLE_ARN: minio.roleArn,
      AWS_REGION: minio.region,
      AWS_ENDPOINT_URL_STS: minio.endpoint,
      AWS_ENDPOINT_URL_S3: minio.endpoint,
      S3_BUCKET: 'letters',
    }
    const atMinio = {
      image: 'api-gateway',
      environment: minioEnvironment,
      allowedHosts: [minio.endpoint],
      identity: { audiences: audience },
    }
    const whoami = { image: 'whoami-c', identity: { audiences: audience } }
    host = cleanup.use(
      await startHostOnSpire(spire.adminSocketPath, [
        { name: 'api-gateway', ...atStandIns },
        { name: 'reader', ...atMinio },
        {
          ...{ name: 'wrong-audience', ...atMinio },
          environment: { ...minioEnvironment, HERALD_AUDIENCE: 'elsewhere.example' },
          identity: { audiences: 'elsewhere.example' },
        },
        { name: 'whoami', ...whoami },
        { name: 'leaver', ...whoami },
        { name: 'stranger', ...whoami },
        { name: 'ambiguous', ...whoami },
        { name: 'chosen', image: 'whoami-c', identity: { audiences: audience, 'spiffe-id': idOf('chosen-too') } },
      ]),
    )
  })
  after(async () => cleanup.disposeAsync())

  test('the token is the JWT-SVID that SPIRE issued for exactly this component, as an OIDC library verifies by discovery', async () => {
    const answer = await host.call('api-gateway', '/api/v1/token', { method: 'POST' })
    assert.equal(answer.status, 200, answer.text)
    const discovery = (await (await fetch(spire.discoveryUrl)).json()) as { issuer: string; jwks_uri: string }
    const keys = createRemoteJWKSet(new URL(discovery.jwks_uri))
    const { payload } = await jwtVerify(answer.json().token, keys, {
      issuer: discovery.issuer,
      audience,
      subject: idOf('api-gateway'),
    })
    assert.deepEqual(payload.aud, [audience])
    assert.equal(answer.json().subject, idOf('api-gateway'))
  })

  test('two components of one process have two identities, one of them written in C', async () => {
    const answer = await host.call('whoami', '/')
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json().spiffeId, idOf('whoami'))
  })

  test('it trades the token at STS and calls Bedrock with signed requests', async () => {
    const answer = await host.call('api-gateway', '/api/v1/bedrock', {
      method: 'POST',
      json: { prompt: 'a lighthouse' },
    })
    assert.equal(answer.status, 200, answer.text)
    assert.match(answer.json().story, /lighthouse/)
    const remainingMs = Date.parse(answer.json().credentialsExpireAt) - Date.now()
    assert.ok(remainingMs > 0 && remainingMs <= 900_000, `credentials hold for ${remainingMs} ms`)
  })

  test('the same component gets credentials of a real STS that trusts SPIRE, and reads an object with them', async () => {
    const answer = await host.call('reader', '/api/v1/object/greeting.txt')
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.text, 'hello from the bucket')
  })

  test('the real STS refuses a token for another audience, and the component passes the reason on', async () => {
    const answer = await host.call('wrong-audience', '/api/v1/object/greeting.txt')
    assert.equal(answer.json().error.step, 'exchange', answer.text)
    assert.match(answer.json().error.code, /InvalidParameterValue/)
    assert.doesNotMatch(answer.text, /eyJ/)
  })

  test('the real STS refuses an altered token, and takes it unaltered', async () => {
    const { token } = (await host.call('reader', '/api/v1/token', { method: 'POST' })).json()
    const sts = new STSClient({ endpoint: minio.endpoint, region: minio.region, maxAttempts: 1 })
    const trade = (WebIdentityToken: string) =>
      sts.send(
        new AssumeRoleWithWebIdentityCommand({ RoleArn: minio.roleArn, RoleSessionName: 'test', WebIdentityToken }),
      )
    const [header, claims, signature] = token.split('.')
    const forged = JSON.parse(Buffer.from(claims, 'base64url').toString())
    forged.sub = idOf('somebody-else')
    const altered = [header, Buffer.from(JSON.stringify(forged)).toString('base64url'), signature].join('.')
    await assert.rejects(trade(altered), { name: 'InvalidParameterValue' })
    assert.ok((await trade(token)).Credentials?.AccessKeyId)
  })

  test('a component without entry is told not-found', async () => {
    const answer = await host.call('stranger', '/')
    assert.equal(answer.status, 403)
    assert.equal(answer.json().error.code, 'identity-not-found')
  })

  test('an audience that the manifest does not list is refused, with what to do', async () => {
    const answer = await host.call('api-gateway', '/api/v1/token', {
      method: 'POST',
      json: { audience: 'https://elsewhere.example' },
    })
    assert.equal(answer.status, 403)
    assert.match(answer.json().error.message, /audiences/)
  })

  test('a component whose selectors match two entries gets none of them, and the log names both', async () => {
    const answer = await host.call('ambiguous', '/')
    assert.equal(answer.status, 403)
    assert.equal(answer.json().error.code, 'identity-refused')
    assert.ok(!answer.text.includes(idOf('ambiguous-too')), 'the guest learns no other identity')
    assert.ok(host.process.stderr.includes(idOf('ambiguous')) && host.process.stderr.includes(idOf('ambiguous-too')))
  })

  test('with spiffe-id configured, that one of two matching entries is chosen', async () => {
    assert.equal((await host.call('chosen', '/')).json().spiffeId, idOf('chosen-too'))
  })

  test('an agent killed and restarted under traffic costs no request of a component that holds a valid token', async (t) => {
    const statuses: number[] = []
    let going = true
    const traffic = Promise.all(
      [0, 1, 2, 3].map(async () => {
        while (going) statuses.push((await host.call('whoami', '/')).status)
      }),
    )
    await sleep(300)
    await spire.killAgent()
    await sleep(1500)
    await spire.startAgent()
    await sleep(1000)
    going = false
    await traffic
    assert.deepEqual(new Set(statuses), new Set([200]))
    t.diagnostic(`${statuses.length} requests, none failed`)
  })

  test('a deleted entry is refused within seconds', async (t) => {
    assert.equal((await host.call('leaver', '/')).status, 200)
    await spire.deleteEntry(entries.get('leaver')!)
    const deletedAt = performance.now()
    let answer = await host.call('leaver', '/')
    while (answer.status === 200 && performance.now() - deletedAt < 15_000) {
      await sleep(20)
      answer = await host.call('leaver', '/')
    }
    assert.equal(answer.status, 403)
    assert.equal(answer.json().error.code, 'identity-not-found')
    t.diagnostic(
      `refused ${((performance.now() - deletedAt) / 1000).toFixed(2)} s after the entry was deleted (agent syncs every 1 s)`,
    )
    assert.equal((await host.call('whoami', '/')).status, 200)
  })

  test('every grant and refusal is an audit event, and no token stands in the log', async () => {
    assert.match(host.process.stderr, /"decision":"granted"|granted/)
    assert.doesNotMatch(host.process.stderr, /eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\./)
  })

  test('SIGTERM drains, and it exits with 0', async () => {
    host.process.kill('SIGTERM')
    assert.equal((await host.process.exited).exitCode, 0)
  })
})

describe('a host that SPIRE does not know yet', () => {
  const whoami = { name: 'whoami', image: 'whoami-c', identity: { audiences: audience } }

  test('starts without an admin socket, answers 503, and gives identities once the agent is there', async () => {
    await using spire = await startSpire({ agent: false, oidc: false })
    await spire.createEntry({ spiffeId: idOf('whoami'), selectors: ['wasmcloud:component:whoami'] })
    await using host = await startHostOnSpire(spire.adminSocketPath, [whoami])
    const early = await host.call('whoami', '/')
    assert.equal(early.status, 503, early.text)
    assert.match(host.process.stderr, /socket_absent/)
    await spire.startAgent()
    let answer = await host.call('whoami', '/')
    for (let attempt = 0; answer.status !== 200 && attempt < 100; attempt += 1) {
      await sleep(100)
      answer = await host.call('whoami', '/')
    }
    assert.equal(answer.json().spiffeId, idOf('whoami'), answer.text)
  })

  test('says which SPIFFE ID to authorise when it is no authorised delegate', async () => {
    await using spire = await startSpire({ authorizedDelegates: [], oidc: false })
    await using host = await startHostOnSpire(
      spire.adminSocketPath,
      [whoami],
      ['--spire-workload-socket', spire.workloadSocketPath],
    )
    const answer = await host.call('whoami', '/')
    assert.equal(answer.status, 403, answer.text)
    assert.ok(!answer.text.includes(spire.hostSpiffeId), 'the guest learns nothing of the host')
    for (let attempt = 0; !host.process.stderr.includes(spire.hostSpiffeId) && attempt < 50; attempt += 1)
      await sleep(100)
    assert.match(host.process.stderr, /authorized_delegates/)
    assert.ok(host.process.stderr.includes(spire.hostSpiffeId))
  })

  test('tells a host without entry apart from a component without one', async () => {
    await using spire = await startSpire({ hostEntry: false, oidc: false })
    await using host = await startHostOnSpire(spire.adminSocketPath, [whoami])
    const answer = await host.call('whoami', '/')
    assert.equal(answer.status, 403, answer.text)
    assert.equal(answer.json().error.code, 'identity-refused')
    for (let attempt = 0; !/ERR_SPIRE_HOST/.test(host.process.stderr) && attempt < 50; attempt += 1) await sleep(100)
    assert.match(host.process.stderr, /ERR_SPIRE_HOST/)
  })
})
