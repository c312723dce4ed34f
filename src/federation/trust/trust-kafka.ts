import { shellCommand } from './shell-word.ts'
import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** Broker properties for SASL/OAUTHBEARER, and ACLs for one principal and the given topics. */
export const trustKafka: TrustBuilder = {
  ...trustOptions.kafka,
  build(input) {
    const prefix = `listener.name.${input.one('listener').toLowerCase()}`
    const jwks = input.one('jwks-url')
    const properties = [
      'sasl.enabled.mechanisms=OAUTHBEARER',
      `${prefix}.sasl.enabled.mechanisms=OAUTHBEARER`,
      `${prefix}.oauthbearer.sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler`,
      `${prefix}.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;`,
      `sasl.oauthbearer.jwks.endpoint.url=${jwks}`,
      `sasl.oauthbearer.expected.issuer=${input.issuer}`,
      `sasl.oauthbearer.expected.audience=${input.audience}`,
      'sasl.oauthbearer.sub.claim.name=sub',
      // The default of Kafka 4.1.0, seen, lets in tokens of any audience and with altered signatures.
      'sasl.oauthbearer.jwt.validator.class=org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator',
      '',
    ].join('\n')
    const principal = ['--allow-principal', `User:${input.spiffeId}`]
    const acl = (...words: readonly (readonly string[])[]) => ({
      kind: 'command' as const,
      command: shellCommand(
        'kafka-acls.sh',
        ['--bootstrap-server', input.one('bootstrap-server')],
        '--add',
        principal,
        ...words,
      ),
    })
    const group = input.optional('group')
    return {
      kind: 'kafka',
      steps: [
        { kind: 'file', path: 'server.properties', text: properties },
        {
          kind: 'file',
          path: 'kafka.env',
          text: `KAFKA_OPTS=-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${jwks}\n`,
        },
        ...input
          .many('read')
          .map((topic) => acl(['--operation', 'Read', '--operation', 'Describe'], ['--topic', topic])),
        ...input
          .many('write')
          .map((topic) => acl(['--operation', 'Write', '--operation', 'Describe'], ['--topic', topic])),
        ...(group === undefined ? [] : [acl(['--operation', 'Read'], ['--group', group])]),
      ],
      notes: [
        'Add server.properties to the configuration of each broker and start it with kafka.env (mandatory since 4.0).',
        'An authorizer must be on, or ACLs mean nothing: authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer.',
      ],
    }
  },
}
