import { isHeraldError } from '../../errors/herald-error.ts'
import { type AuditedComponent, auditedComponent } from '../../identity/audit.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { JwtVerifier } from '../../identity/jwt-verifier.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { storeErrorOf } from '../identity/identity-answer.ts'
import {
  type Answer,
  maxAudienceLength,
  maxSignedBytes,
  maxTokenLength,
  type VerifierError,
} from './herald-identity-answer.ts'
import { type HeraldIdentityAuditSink, UseCounts } from './herald-identity-audit.ts'

export type HeraldIdentityBindingOptions = {
  readonly component: ComponentFacts
  readonly identity: ComponentIdentity
  readonly verifier: JwtVerifier
  readonly audit: HeraldIdentityAuditSink
  readonly log: Log
  readonly onRelease: () => void
}

/** One component's `herald:identity` on the control thread. The key of its X.509-SVID is used here and stays here. */
export class HeraldIdentityBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'herald-identity-cell')
  readonly config = undefined
  readonly #options: HeraldIdentityBindingOptions
  readonly #component: AuditedComponent
  readonly #uses: UseCounts
  #released = false

  constructor(options: HeraldIdentityBindingOptions) {
    this.#options = options
    this.#component = auditedComponent(options.component)
    this.#uses = new UseCounts(options.audit)
  }

  attach(): void {
    // Cells hold nothing that could be renewed or evicted.
  }

  async handle(method: string, payload: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> {
    switch (method) {
      case 'subject':
        return this.#answer(signal, () => this.#options.identity.fetchSubject({ signal }))
      case 'svid':
        return this.#answer(signal, async () => {
          const { certificates, spiffeId, expiresAt } = await this.#options.identity.fetchX509Svid({ signal })
          this.#count({ kind: 'certificates', spiffeId })
          return { certificates, spiffeId, expiresAtS: seconds(expiresAt) }
        })
      case 'sign':
        return this.#answer(signal, async () => {
          if (!(payload instanceof Uint8Array) || payload.length > maxSignedBytes) throw malformed()
          const svid = await this.#options.identity.fetchX509Svid({ signal })
          this.#count({ kind: 'signed', spiffeId: svid.spiffeId })
          return svid.sign(payload)
        })
      case 'verify':
        return this.#verify(payload, signal)
      default:
        throw new TypeError(`herald:identity has no method ${JSON.stringify(method.slice(0, 40))}`)
    }
  }

  async #answer(signal: AbortSignal, work: () => Promise<unknown>) {
    try {
      return { kind: 'ok', value: await work() }
    } catch (error) {
      if (signal.aborted || error instanceof TypeError) throw error
      if (!isHeraldError(error)) this.#options.log.error({ event: 'identity.failed', err: error }, 'an identity failed')
      this.#count({ kind: 'refused', code: isHeraldError(error) ? error.code : 'ERR_INTERNAL' })
      return { kind: 'refused', error: storeErrorOf(error) }
    }
  }

  async #verify(payload: unknown, signal: AbortSignal): Promise<Answer<'verify'>> {
    const { token, audience } = (payload ?? {}) as { token?: unknown; audience?: unknown }
    if (typeof token !== 'string' || typeof audience !== 'string') throw malformed()
    if (token.length > maxTokenLength || audience.length > maxAudienceLength) throw malformed()
    try {
      const { verifier, identity } = this.#options
      const svid = await verifier.verify(token, audience, { trusts: (domain) => identity.trusts(domain, { signal }) })
      this.#count({ kind: 'verified' })
      const { spiffeId, audiences, expiresAt, issuedAt, issuer } = svid
      const issuedAtS = issuedAt && seconds(issuedAt)
      return {
        kind: 'ok',
        value: { subject: spiffeId, audience: audiences, expiresAtS: seconds(expiresAt), issuedAtS, issuer },
      }
    } catch (error) {
      if (!isHeraldError(error))
        this.#options.log.error({ event: 'identity.failed', err: error }, 'verifying a token failed')
      this.#count({ kind: 'unverified', code: isHeraldError(error) ? error.code : 'ERR_INTERNAL' })
      return { kind: 'refused', error: verifierErrorOf(error) }
    }
  }

  #count(
    use: Parameters<UseCounts['add']>[0] extends infer E
      ? E extends unknown
        ? Omit<E, 'component' | 'count'>
        : never
      : never,
  ): void {
    this.#uses.add({ ...use, component: this.#component, count: 1 } as Parameters<UseCounts['add']>[0])
  }

  gather(): void {
    this.#uses.gather()
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.gather()
    this.#options.identity.release()
    this.#options.onRelease()
  }
}

function verifierErrorOf(error: unknown): VerifierError {
  if (!isHeraldError(error)) return { tag: 'unavailable', val: 'the host failed: ask its operator (ERR_INTERNAL)' }
  if (!error.code.startsWith('ERR_JWT_SVID_')) {
    return {
      tag: 'unavailable',
      val: `the keys of the token's trust domain cannot be had: try again later (${error.code})`,
    }
  }
  return { tag: 'invalid', val: error.message.slice(0, 500) }
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}

function malformed(): TypeError {
  return new TypeError('herald:identity: malformed request')
}
