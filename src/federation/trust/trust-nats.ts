import type { TrustBuilder } from './trust-builder.ts'
import { trustOptions } from './trust-options.ts'

/** Auth callout for nats-server, and the permissions that the callout must grant to this SPIFFE ID, as a NATS user claim has them. */
export const trustNats: TrustBuilder = {
  ...trustOptions.nats,
  build(input) {
    const config = `accounts {
  HERALD_AUTH: { users: [ { nkey: ${input.one('callout-user')} } ] }
  ${input.one('account')}: {}
}
authorization {
  auth_callout {
    issuer: ${input.one('callout-issuer')}
    account: HERALD_AUTH
    auth_users: [ ${input.one('callout-user')} ]
  }
}
`
    // An absent list would allow everything: what was not asked for is denied.
    const permission = (subjects: readonly string[]) => (subjects.length === 0 ? { deny: ['>'] } : { allow: subjects })
    const permissions = {
      sub: input.spiffeId,
      aud: input.one('account'),
      nats: { pub: permission(input.many('publish')), sub: permission(input.many('subscribe')) },
    }
    return {
      kind: 'nats',
      steps: [
        { kind: 'file', path: 'nats-auth.conf', text: config },
        { kind: 'file', path: 'permissions.json', text: `${JSON.stringify(permissions, undefined, 2)}\n` },
      ],
      notes: [
        'Include nats-auth.conf in the configuration of nats-server 2.10 or later and restart it: auth_callout cannot be reloaded.',
        'permissions.json is what the callout service must answer for a token of this SPIFFE ID.',
      ],
    }
  },
}
