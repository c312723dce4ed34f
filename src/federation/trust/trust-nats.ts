import type { TrustBuilder } from './trust-builder.ts'

/** Auth callout for nats-server, and the permissions that the callout must grant to this SPIFFE ID, as a NATS user claim has them. */
export const trustNats: TrustBuilder = {
  kind: 'nats',
  title: 'NATS: auth callout and permissions',
  formats: ['commands'],
  needsIssuer: false,
  audience: 'nats',
  settings: [
    {
      name: 'callout-issuer',
      meaning: 'public account nkey with which the callout signs',
      example: 'ABST5C42SJSM4PXGY523P7LOGZWL2PV2ZVHX7VEPMOLTIE7ZIO7V2NOG',
      pattern: /^A[A-Z2-7]{55}$/,
      required: true,
    },
    {
      name: 'callout-user',
      meaning: 'public user nkey with which the callout connects',
      example: 'UCUZJMSVUE3JVPAUPFXZV33EZBC62R4LL24BYACRPIBAADYAR33QUOK4',
      pattern: /^U[A-Z2-7]{55}$/,
      required: true,
    },
    {
      name: 'account',
      meaning: 'account of the workloads',
      example: 'HERALD',
      pattern: /^[A-Z][A-Z0-9_]*$/,
      required: false,
      default: 'HERALD',
    },
    {
      name: 'publish',
      meaning: 'subject that it may publish to',
      example: 'orders.>',
      pattern: /^[^\s.]+(\.[^\s.]+)*$/,
      required: false,
      many: true,
    },
    {
      name: 'subscribe',
      meaning: 'subject that it may subscribe to',
      example: 'orders.new',
      pattern: /^[^\s.]+(\.[^\s.]+)*$/,
      required: false,
      many: true,
    },
  ],
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
