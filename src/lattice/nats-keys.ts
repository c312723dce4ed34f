import { createHash } from 'node:crypto'
import { nkeys } from 'nats'
import { HeraldError } from '../errors/herald-error.ts'

/** `account` signs user tokens, `user` logs in, `curve` encrypts ("xkey"). */
export type NatsKeyKind = 'account' | 'user' | 'curve'

const prefixes: Readonly<Record<NatsKeyKind, readonly [seed: string, publicKey: string]>> = {
  account: ['SA', 'A'],
  user: ['SU', 'U'],
  curve: ['SX', 'X'],
}

/** A key pair of NATS. The seed never comes out. */
export interface NatsKey {
  /** `A…`, `U…` or `X…`. */
  readonly publicKey: string
  /** Of `account` and `user`. */
  sign(bytes: Uint8Array): Uint8Array
  /** Of `curve`: for and from whom has that public key. @throws ERR_NATS_KEY_INVALID */
  seal(bytes: Uint8Array, to: string): Uint8Array
  open(bytes: Uint8Array, from: string): Uint8Array
}

/** @returns the seed as `nk` writes it to a file: a secret. */
export function createNatsSeed(kind: NatsKeyKind): { readonly seed: string; readonly publicKey: string } {
  const made = { account: nkeys.createAccount, user: nkeys.createUser, curve: nkeys.createCurve }[kind]()
  return { seed: new TextDecoder().decode(made.getSeed()), publicKey: made.getPublicKey() }
}

/** @param text a seed, alone or as a file holds it. @throws ERR_NATS_KEY_INVALID: it is none, or of another kind */
export function parseNatsSeed(text: string, kind: NatsKeyKind, where: string): NatsKey {
  const seed = text.trim()
  const [prefix] = prefixes[kind]
  try {
    if (!seed.startsWith(prefix)) throw new Error('another kind')
    const bytes = Buffer.from(seed)
    const pair = kind === 'curve' ? nkeys.fromCurveSeed(bytes) : nkeys.fromSeed(bytes)
    return {
      publicKey: pair.getPublicKey(),
      sign: (payload) => pair.sign(payload),
      seal: (payload, to) => pair.seal(payload, to),
      open(payload, from) {
        const opened = opening(() => pair.open(payload, from))
        if (opened !== null) return opened
        throw new HeraldError('ERR_NATS_KEY_INVALID', 'an encrypted message cannot be opened', {
          hint: 'compare xkey in the configuration of nats-server with the public key of this service',
        })
      },
    }
  } catch {
    // Not the cause: it may hold what it could not read.
    throw new HeraldError('ERR_NATS_KEY_INVALID', `${where} holds no ${kind} seed of NATS`, {
      hint: `it begins with ${prefix}: make it anew with herald nats-callout keys`,
    })
  }
}

function opening(open: () => Uint8Array | null): Uint8Array | null {
  try {
    return open()
  } catch {
    return null
  }
}

/** Signs claims as NATS's servers read them: `alg` ed25519-nkey, `jti` a hash of the claims, `iss` the signer. */
export function signNatsJwt(claims: Readonly<Record<string, unknown>>, signer: NatsKey, nowMs: number): string {
  const unnamed = { ...claims, iss: signer.publicKey, iat: Math.floor(nowMs / 1000) }
  const jti = createHash('sha256').update(JSON.stringify(unnamed)).digest('hex')
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({ ...unnamed, jti })}`
  return `${signed}.${Buffer.from(signer.sign(Buffer.from(signed))).toString('base64url')}`
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The claims of a token that a NATS server signed with the key it names as `iss`. @throws ERR_NATS_JWT_INVALID */
export function verifyServerJwt(token: string): Readonly<Record<string, unknown>> {
  const [head, payload, signature, ...more] = token.split('.')
  if (head === undefined || payload === undefined || signature === undefined || more.length > 0) throw invalid('form')
  const header = decode(head)
  if (header.alg !== 'ed25519-nkey' && header.alg !== 'ed25519') throw invalid('algorithm')
  const claims = decode(payload)
  const { iss } = claims
  // Servers' keys begin with N; the prefix is part of what the key's own checksum covers.
  if (typeof iss !== 'string' || !iss.startsWith('N')) throw invalid('issuer')
  let isSigned: boolean
  try {
    isSigned = nkeys
      .fromPublic(iss)
      .verify(Buffer.from(`${head}.${payload}`), new Uint8Array(Buffer.from(signature, 'base64url')))
  } catch {
    isSigned = false
  }
  if (!isSigned) throw invalid('signature')
  return claims
}

function decode(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'base64url')))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {}
  throw invalid('form')
}

function invalid(what: string): HeraldError {
  return new HeraldError('ERR_NATS_JWT_INVALID', `not a token of a NATS server: wrong ${what}`)
}
