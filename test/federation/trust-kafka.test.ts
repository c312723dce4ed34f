import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { lastLines, runProgram } from '../../scripts/servers/run-program.ts'
import { trustPolicy } from '../../src/federation/trust/trust-policy.ts'
import { type Spire, startSpire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { forgeSubject } from './forge-subject.ts'
import { policyFile } from './policy-file.ts'
import { type Kafka, startKafka } from './start-kafka.ts'

const component = 'spiffe://example.org/default/api-gateway'
const temporary = temporaryDirectory()

suite('what trust kafka prints, on a real broker', () => {
  let spire: Spire
  let kafka: Kafka
  before(async () => {
    spire = await startSpire()
    const policyFor = (bootstrap: string) =>
      trustPolicy('kafka', {
        spiffeId: component,
        issuer: spire.issuer,
        audience: 'kafka',
        settings: {
          'jwks-url': `${spire.issuer}/keys`,
          listener: 'SASL_PLAINTEXT',
          'bootstrap-server': bootstrap,
          read: ['orders'],
          group: 'gateway',
        },
      })
    const policy = policyFor('localhost:9092')
    const javaOptions = policyFile(policy, 'kafka.env').trim().replace('KAFKA_OPTS=', '').split(' ')
    kafka = await startKafka({ properties: policyFile(policy, 'server.properties'), javaOptions })
    for (const topic of ['orders', 'secrets']) {
      const to = ['--bootstrap-server', kafka.adminAt, '--topic', topic]
      await must(kafka.run('kafka-console-producer.sh', to, { input: `of ${topic}\n` }))
    }
    const acls = policyFor(kafka.adminAt).steps.flatMap((step) => (step.kind === 'command' ? [step.command] : []))
    await must(
      runProgram('sh', ['-ec', acls.join('\n')], {
        env: { ...process.env, PATH: `${kafka.binDirectory}:${process.env.PATH}` },
      }),
    )
  })
  after(async () => {
    temporary[Symbol.dispose]()
    await kafka?.[Symbol.asyncDispose]()
    await spire?.[Symbol.asyncDispose]()
  })

  /** Kafka's own consumer, with a JWT-SVID as its token. */
  async function consume(
    topic: string,
    spiffeId: string,
    { audience = 'kafka', alter = (token: string) => token } = {},
  ) {
    const token = join(temporary.path, crypto.randomUUID())
    writeFileSync(token, alter(await spire.mintJwtSvid({ spiffeId, audience })), { mode: 0o600 })
    const config = `${token}.properties`
    writeFileSync(
      config,
      [
        'security.protocol=SASL_PLAINTEXT',
        'sasl.mechanism=OAUTHBEARER',
        'sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;',
        'sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
        `sasl.oauthbearer.token.endpoint.url=file://${token}`,
        'sasl.oauthbearer.sub.claim.name=sub',
      ].join('\n'),
    )
    return kafka.run(
      'kafka-console-consumer.sh',
      [
        ...['--bootstrap-server', kafka.componentsAt, '--topic', topic, '--group', 'gateway', '--from-beginning'],
        ...['--max-messages', '1', '--timeout-ms', '30000', '--consumer.config', config],
      ],
      { javaOptions: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${token}`] },
    )
  }

  test('the one component reads the one topic with its SVID', async () => {
    const { stdout, output } = await consume('orders', component)
    assert.match(stdout, /of orders/, lastLines(output))
  })

  test('another topic is refused to it', async () => {
    const { stdout, output } = await consume('secrets', component)
    assert.ok(
      /TopicAuthorizationException|Not authorized to access topics: \[secrets\]/.test(output),
      lastLines(output),
    )
    assert.doesNotMatch(stdout, /of secrets/)
  })

  test('a neighbour of the same trust domain reads nothing', async () => {
    const { stdout, output } = await consume('orders', 'spiffe://example.org/default/neighbour')
    assert.ok(/AuthorizationException|Not authorized/.test(output), lastLines(output))
    assert.doesNotMatch(stdout, /of orders/)
  })

  test('a token for another audience, and an altered one, are no login', async () => {
    const another = await consume('orders', component, { audience: 'elsewhere' })
    assert.ok(/SaslAuthenticationException|Authentication failed/.test(another.output), lastLines(another.output))
    const altered = await consume('orders', component, {
      alter: (token) => forgeSubject(token, `${component}2`),
    })
    assert.ok(/SaslAuthenticationException|Authentication failed/.test(altered.output), lastLines(altered.output))
    assert.doesNotMatch(another.stdout + altered.stdout, /of orders/)
  })
})

async function must(running: ReturnType<typeof runProgram>): Promise<void> {
  const { exitCode, output } = await running
  assert.equal(exitCode, 0, lastLines(output))
}
