import { createHash } from 'node:crypto'
import { createAccount, createOperator, createUser, type KeyPair } from 'nkeys.js'

/** NATS in operator mode with one account, and user credentials made for it: what `nsc` does, as far as tests need it. */
export type JwtAuthority = {
  /** For the server's configuration file. */
  readonly config: string
  /** The text of a `.creds` file, and the seed in it. */
  creds(options: { expiresAt?: Date }): { readonly text: string; readonly seed: string }
}

export function createJwtAuthority(): JwtAuthority {
  const operator = createOperator()
  const account = createAccount()
  const operatorJwt = signed(operator, 'operator', operator.getPublicKey(), { type: 'operator', version: 2 })
  const accountJwt = signed(operator, 'account', account.getPublicKey(), {
    type: 'account',
    version: 2,
    limits: { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
  })
  return {
    config: `operator: ${operatorJwt}\nresolver: MEMORY\nresolver_preload: { ${account.getPublicKey()}: ${accountJwt} }`,
    creds({ expiresAt }) {
      const user = createUser()
      const jwt = signed(
        account,
        'host',
        user.getPublicKey(),
        { type: 'user', version: 2, subs: -1, data: -1, payload: -1, pub: {}, sub: {} },
        expiresAt,
      )
      const seed = Buffer.from(user.getSeed()).toString()
      return {
        seed,
        text: `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
      }
    },
  }
}

/** A JWT as NATS has them: `ed25519-nkey` over header and claims, the issuer's public nkey in `iss`. */
function signed(issuer: KeyPair, name: string, subject: string, nats: object, expiresAt?: Date): string {
  const claims = {
    jti: createHash('sha256').update(subject).digest('hex').toUpperCase(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    name,
    sub: subject,
    ...(expiresAt !== undefined && { exp: Math.floor(expiresAt.getTime() / 1_000) }),
    nats,
  }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`
}
