import type { Clock } from '../../clock/clock.ts'
import { isHeraldError } from '../../errors/herald-error.ts'
import type { SdkFiles } from '../../federation/sdk-files.ts'
import { type AuditSink, auditedComponent, tokenIdOf } from '../../identity/audit.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { AudienceSvidChange } from '../../identity/component-svids.ts'
import type { ComponentIdentity } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { JwtSvid } from '../../spiffe/jwt-svid.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import type { MemoryDirectory } from './memory-directory.ts'

export type FilesBindingOptions = {
  readonly component: ComponentFacts
  /** Identities are released with this. */
  readonly entries: readonly { readonly name: string; readonly sdk: SdkFiles; readonly identity: ComponentIdentity }[]
  /** Removed with this. */
  readonly directory: MemoryDirectory
  readonly environment: Readonly<Record<string, string>>
  readonly clock: Clock
  readonly log: Log
  readonly audit: AuditSink
  readonly onRelease: () => void
}

/** Where a component sees the files, read-only: one directory for each entry. */
export const guestDirectory = '/var/run/herald/credentials'

type Entry = FilesBindingOptions['entries'][number]

/** Pause before the authority is asked again for a token that it did not give, ms. */
const retryMs = 2_000

/** One component's files: a token for each entry, there while the component has the identity. */
export class FilesBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'files-cell')
  readonly config = undefined
  readonly preopens: NonNullable<CellBinding['preopens']>
  readonly environment: Readonly<Record<string, string>>
  readonly #options: FilesBindingOptions
  readonly #lifetime = new AbortController()
  readonly #first: Promise<unknown>

  constructor(options: FilesBindingOptions) {
    this.#options = options
    const { entries, directory, environment } = options
    this.environment = environment
    this.preopens = [{ hostPath: directory.path, guestPath: guestDirectory, readOnly: true }]
    this.#first = Promise.all(
      entries.map((entry) => {
        directory.makeDirectory(entry.name)
        for (const [name, content] of Object.entries(entry.sdk.files)) directory.write(`${entry.name}/${name}`, content)
        entry.identity.onChange((change) => this.#onChange(entry, change))
        return this.#obtain(entry)
      }),
    )
  }

  /** Resolves when each token is there, or known not to be for now. Never rejects. */
  async first(): Promise<void> {
    await this.#first
  }

  attach(): void {
    // Nothing is sent to cells: they read files.
  }

  async handle(method: string): Promise<unknown> {
    throw new TypeError(`herald:credentials/files has no method ${JSON.stringify(method.slice(0, 40))}`)
  }

  /** Asks once; goes on asking in the background when nothing is given. */
  async #obtain(entry: Entry, refusedBefore?: string): Promise<void> {
    const { signal } = this.#lifetime
    if (signal.aborted) return
    const { audience } = entry.sdk
    try {
      const { svid } = await entry.identity.fetchJwtSvid([audience], { signal })
      if (signal.aborted) return
      this.#write(entry, svid)
      this.#audit('granted', entry, svid)
    } catch (error) {
      if (signal.aborted) return
      const { log, clock, audit, component } = this.#options
      if (!isHeraldError(error)) log.error({ event: 'credentials.files_failed', err: error }, 'a token was not written')
      const code = isHeraldError(error) ? error.code : 'ERR_INTERNAL'
      const reason = isHeraldError(error) ? error.message : 'a defect in the host'
      // The same answer again is no news.
      if (code !== refusedBefore)
        audit({ kind: 'refused', component: auditedComponent(component), audience, code, reason, count: 1 })
      clock.sleep(retryMs, { signal }).then(
        () => this.#obtain(entry, code),
        () => {},
      )
    }
  }

  #onChange(entry: Entry, change: AudienceSvidChange): void {
    if (this.#lifetime.signal.aborted || !change.audiences.includes(entry.sdk.audience)) return
    if (change.kind === 'renewed') {
      this.#write(entry, change.svid)
      this.#audit('renewed', entry, change.svid)
      return
    }
    this.#options.directory.remove(`${entry.name}/token`)
    // The identity's own capability tells of the eviction if it is in use; here it is told in any case.
    const { audit, component } = this.#options
    audit({
      kind: 'evicted',
      component: auditedComponent(component),
      reason: change.reason,
      ...about(entry, change.svid),
    })
    this.#obtain(entry)
  }

  #write(entry: Entry, svid: JwtSvid): void {
    this.#options.directory.write(`${entry.name}/token`, svid.reveal())
  }

  #audit(kind: 'granted' | 'renewed', entry: Entry, svid: JwtSvid): void {
    const { audit, component } = this.#options
    audit({ kind, component: auditedComponent(component), ...about(entry, svid) })
  }

  release(): void {
    if (this.#lifetime.signal.aborted) return
    this.#lifetime.abort()
    const { entries, directory, onRelease } = this.#options
    for (const { identity } of entries) identity.release()
    directory[Symbol.dispose]()
    onRelease()
  }
}

function about({ sdk }: Entry, svid: JwtSvid) {
  return {
    spiffeId: svid.spiffeId,
    audience: sdk.audience,
    expiresAt: svid.expiresAt,
    tokenId: tokenIdOf(svid),
  }
}
