import type { Log } from '../../observability/log.ts'
import { allowedDirectory } from '../allowed-directory.ts'
import type { Capability } from '../capability.ts'
import { EntrySettings } from '../entry-settings.ts'
import { SecretsBinding, type SecretsEntry } from './secrets-binding.ts'

export type SecretsCapabilityOptions = {
  readonly log: Log
  /** Directories under which mounted secrets may stand. */
  readonly allowedHostPaths: readonly string[]
}

export const secretsKeys = ['root', 'keys'] as const

/**
 * `wasmcloud:secrets`: files of a mounted directory, such as a Kubernetes Secret's, or what upstream puts into the entry's config
 * by `secretFrom`. Deny by default: of a directory only what `keys` names.
 */
export function createSecretsCapability({ log, allowedHostPaths }: SecretsCapabilityOptions): Capability {
  return {
    name: 'secrets',
    interfaces: ['1.0.0', '0.1.0-draft'].flatMap((version) => [
      `wasmcloud:secrets/store@${version}`,
      `wasmcloud:secrets/reveal@${version}`,
    ]),
    waits: ['wasmcloud:secrets/store#get'],
    async start() {},
    async configure(component, hostInterfaces) {
      const entries: SecretsEntry[] = []
      for (const entry of hostInterfaces) {
        // Without a root every key of the config is a secret: `secretFrom` puts them there.
        if (entry.config.root === undefined) {
          entries.push({ kind: 'values', values: new Map(Object.entries(entry.config)) })
          continue
        }
        const settings = new EntrySettings(entry, secretsKeys)
        const keys = settings.list('keys')
        const wrong = keys.find((key) => !/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$/.test(key))
        if (wrong !== undefined) {
          throw settings.refusal(
            `keys: ${JSON.stringify(wrong.slice(0, 80))} is no name of a file`,
            'list names of files in root',
          )
        }
        if (keys.length === 0)
          throw settings.refusal('it has no keys', 'list in keys which files the component may read')
        entries.push({
          kind: 'directory',
          root: await allowedDirectory(settings, allowedHostPaths),
          keys: new Set(keys),
        })
      }
      return new SecretsBinding({ component, entries, log })
    },
    async [Symbol.asyncDispose]() {},
  }
}
