import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { Clock } from '../../src/clock/clock.ts'
import { HeraldError } from '../../src/errors/herald-error.ts'
import type { Selector } from '../../src/identity/selectors.ts'
import type { IssuedJwtSvid, SvidAuthority, X509Update } from '../../src/identity/svid-authority.ts'
import { type JwtBundle, parseJwtBundle } from '../../src/spiffe/jwt-bundle.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

export type StandInAnswer = readonly string[] | HeraldError
type Request = { selectors: readonly Selector[]; audiences: readonly string[] }

/** Not an authority: a stand-in for one, in memory, whose answers, delays and revocations a test decides. */
export class StandInAuthority implements SvidAuthority {
  readonly kind = 'spire'
  readonly calls: Request[] = []
  /** SPIFFE IDs that match, or the refusal. */
  answer: (request: Request) => StandInAnswer = () => ['spiffe://example.org/default/api-gateway']
  jwtLifetimeS = 300
  /** Changes the token before it is handed out. */
  tamper: (token: string) => string = (token) => token
  /** Claims instead of the right ones. */
  claims: Record<string, unknown> = {}
  bundle: JwtBundle
  watchers = 0
  readonly #clock: Clock
  readonly #privateKey: CryptoKey
  #gate = Promise.resolve()
  readonly #streams = new Set<(update: X509Update) => void>()

  private constructor(clock: Clock, privateKey: CryptoKey, bundle: JwtBundle) {
    this.#clock = clock
    this.#privateKey = privateKey
    this.bundle = bundle
  }

  static async create(clock: Clock): Promise<StandInAuthority> {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const keys = [{ ...(await exportJWK(publicKey)), kid: 'k1' }]
    return new StandInAuthority(
      clock,
      privateKey,
      parseJwtBundle(parseTrustDomain('example.org'), JSON.stringify({ keys })),
    )
  }

  /** From now on no call is answered until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#gate = promise
    return resolve
  }

  entitle(...spiffeIds: readonly string[]): void {
    for (const push of this.#streams) push({ kind: 'entitled', spiffeIds: spiffeIds.map(parseSpiffeId) })
  }

  interrupt(error = new HeraldError('ERR_SPIRE_UNREACHABLE', 'the stand-in is away')): void {
    for (const push of this.#streams) push({ kind: 'interrupted', error })
  }

  async fetchJwtSvids(request: Request, { signal }: { signal: AbortSignal }): Promise<readonly IssuedJwtSvid[]> {
    this.calls.push(request)
    const gate = this.#gate
    await new Promise<void>((resolve, reject) => {
      gate.then(resolve)
      signal.addEventListener('abort', () => reject(new HeraldError('ERR_SPIRE_UNREACHABLE', 'aborted')), {
        once: true,
      })
    })
    const answer = this.answer(request)
    if (answer instanceof HeraldError) throw answer
    const iat = Math.floor(this.#clock.nowMs() / 1000)
    return Promise.all(
      answer.map(async (sub) => {
        const claims = {
          sub,
          aud: [...request.audiences],
          iat,
          exp: iat + this.jwtLifetimeS,
          n: this.calls.length,
          ...this.claims,
        }
        const token = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(this.#privateKey)
        return { token: this.tamper(token), hint: undefined }
      }),
    )
  }

  async *watchX509(_request: unknown, { signal }: { signal: AbortSignal }): AsyncGenerator<X509Update> {
    const queue: X509Update[] = []
    let wake = (): void => {}
    const push = (update: X509Update): void => {
      queue.push(update)
      wake()
    }
    this.#streams.add(push)
    this.watchers += 1
    signal.addEventListener('abort', () => wake())
    try {
      while (!signal.aborted) {
        const next = queue.shift()
        if (next !== undefined) yield next
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      this.#streams.delete(push)
      this.watchers -= 1
    }
  }

  currentJwtBundle(): JwtBundle {
    return this.bundle
  }

  async jwtBundle(
    _trustDomain: unknown,
    { signal, keyId }: { signal: AbortSignal; keyId?: string | undefined },
  ): Promise<JwtBundle> {
    while (keyId !== undefined && !this.bundle.has(keyId) && !signal.aborted)
      await new Promise((resolve) => setTimeout(resolve, 1))
    return this.bundle
  }

  status() {
    return { kind: 'connecting' } as const
  }

  async diagnose(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}
