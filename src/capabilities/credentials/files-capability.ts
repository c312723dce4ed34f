import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import { sdkFilesOf } from '../../federation/sdk-files.ts'
import { type AuditSink, auditToLog } from '../../identity/audit.ts'
import type { SvidSource } from '../../identity/svid-source.ts'
import type { Log } from '../../observability/log.ts'
import type { Capability } from '../capability.ts'
import { credentialsVersion, parseCredentialsConfig } from './credentials-config.ts'
import { FilesBinding, guestDirectory } from './files-binding.ts'
import { MemoryDirectory } from './memory-directory.ts'

export type CredentialFilesCapabilityOptions = {
  /** Stays with its owner. */
  readonly svids: Pick<SvidSource, 'open'>
  /** Whether a binding may lead to this machine's own loopback. For development and tests. */
  readonly loopbackEndpoints: boolean
  readonly clock: Clock
  readonly log: Log
  /** Default: the log. */
  readonly audit?: AuditSink
}

/**
 * `herald:credentials/files`: no guest imports it. For entries that list `files`, a component that can read files finds those that SDKs read
 * by themselves, and the variables that lead to them: a JWT-SVID, rotated in place, and nothing that was traded for it.
 */
export function createCredentialFilesCapability(options: CredentialFilesCapabilityOptions): Capability {
  const { svids, loopbackEndpoints, clock, log, audit = auditToLog(log) } = options
  const open = new Set<FilesBinding>()
  return {
    name: 'credential-files',
    interfaces: [`herald:credentials/files@${credentialsVersion}`],
    accompanies: ['wasi:filesystem/preopens@0.2.0'],
    waits: [],
    async start() {},
    async configure(component, entries) {
      const bindings = parseCredentialsConfig(entries, { loopbackEndpoints })
      const files = bindings.map(({ name, binding, spiffeId }) => {
        if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
          throw refused(`the name ${JSON.stringify(name)} cannot be a directory`, 'Use letters, digits, ., - and _.')
        return { name, spiffeId, sdk: sdkFilesOf(name, binding, `${guestDirectory}/${name}`) }
      })
      const environment: Record<string, string> = {}
      for (const { name, sdk } of files) {
        for (const [variable, value] of Object.entries(sdk.environment)) {
          if (variable in environment) {
            throw refused(
              `${JSON.stringify(name)} is the second entry with files that sets ${variable}`,
              'Of one provider only one entry can have files: an SDK reads one.',
            )
          }
          environment[variable] = value
        }
      }
      using undo = new DisposableStack()
      const directory = undo.use(MemoryDirectory.create())
      const opened = files.map(({ name, spiffeId, sdk }) => {
        const identity = svids.open(component, { spiffeId })
        undo.defer(() => identity.release())
        return { name, sdk, identity }
      })
      const onRelease = (): void => void open.delete(binding)
      const binding = new FilesBinding({
        ...{ component, entries: opened, directory, environment, clock, log, audit, onRelease },
      })
      undo.move()
      open.add(binding)
      await binding.first()
      return binding
    },
    async [Symbol.asyncDispose]() {
      for (const binding of [...open]) binding.release()
    },
  }
}

function refused(what: string, hint: string): HeraldError {
  return new HeraldError('ERR_FEDERATION_BINDING_INVALID', `herald:credentials: ${what}`, { hint })
}
