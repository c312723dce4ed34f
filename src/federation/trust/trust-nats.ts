import { stringify } from 'yaml'
import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** Auth callout for nats-server, and the policy with which `herald nats-callout serve` lets this SPIFFE ID in. */
export const trustNats: TrustBuilder = {
  ...trustOptions.nats,
  build(input) {
    const xkey = input.optional('callout-xkey')
    const config = `accounts {
  HERALD_AUTH: { users: [ { nkey: ${input.one('callout-user')} } ] }
  ${input.one('account')}: {}
}
authorization {
  auth_callout {
    issuer: ${input.one('callout-issuer')}
    account: HERALD_AUTH
    auth_users: [ ${input.one('callout-user')} ]
${xkey === undefined ? '' : `    xkey: ${xkey}\n`}  }
}
`
    const subjects = (key: 'publish' | 'subscribe') => {
      const given = input.many(key)
      return given.length === 0 ? {} : { [key]: given }
    }
    const policy = {
      audience: input.audience,
      grants: [
        {
          'spiffe-id': input.spiffeId,
          account: input.one('account'),
          ...subjects('publish'),
          ...subjects('subscribe'),
        },
      ],
    }
    return {
      kind: 'nats',
      steps: [
        { kind: 'file', path: 'nats-auth.conf', text: config },
        { kind: 'file', path: 'policy.yaml', text: stringify(policy) },
      ],
      notes: [
        'Include nats-auth.conf in the configuration of nats-server 2.10 or later and restart it: auth_callout cannot be reloaded.',
        'policy.yaml is for herald nats-callout serve --policy; add its grant to the others if there is a policy already.',
      ],
    }
  },
}
