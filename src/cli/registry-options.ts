import { collectPairs } from './option-values.ts'

export type RegistryOptions = {
  readonly imageCache?: string
  readonly imageCacheSize?: number
  readonly plainHttpRegistry?: readonly string[]
  readonly registryMirror?: Readonly<Record<string, string>>
  /** Text for `parseRegistryIdentity`, by registry. */
  readonly registryIdentity?: Readonly<Record<string, string>>
}

export const registryIdentityOption = [
  '--registry-identity <registry=audience>',
  "a registry that is shown this process's JWT-SVID for the audience instead of a password, at its token service: REGISTRY=AUDIENCE[,token-service=URL][,service=NAME][,grant=refresh-token|token-exchange]; repeatable; none by default",
  collectPairs,
] as const

/** Whether images are pulled by the identity of this process. */
export const usesRegistryIdentity = ({ registryIdentity = {} }: RegistryOptions): boolean =>
  Object.keys(registryIdentity).length > 0
