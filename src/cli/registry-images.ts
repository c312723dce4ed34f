import { systemClock } from '../clock/clock.ts'
import type { ImageReference } from '../manifest/image-reference.ts'
import { createFileImageSource, type ImageSource } from '../manifest/image-source.ts'
import type { Log } from '../observability/log.ts'
import { createDockerCredentials } from '../oci/docker-credentials.ts'
import { createOciClient, type OciClient } from '../oci/oci-client.ts'
import type { OciCredentials } from '../oci/oci-credentials.ts'
import { createOciImageSource } from '../oci/oci-image-source.ts'
import { createIdentityCredentials, type OwnSvids, parseRegistryIdentity } from '../oci/registry-identity.ts'
import type { RegistryEnvironment } from './environment.ts'
import type { RegistryOptions } from './registry-options.ts'

export type RegistryImages = {
  readonly client: OciClient
  /** Files and registries; with the credentials a workload brings, if it does. */
  source(credentials?: ReadonlyMap<ImageReference, OciCredentials>): ImageSource
}

/** Ten minutes: a large image goes on into the cache after the start that wanted it was given up. */
const lingerMs = 600_000

/**
 * Images for a host, from files and registries, by the command's options. `svids`: needed where `usesRegistryIdentity`.
 * @throws ERR_OCI_CACHE_UNUSABLE · ERR_OCI_IDENTITY_INVALID
 */
export async function openRegistryImages(
  options: RegistryOptions,
  environment: RegistryEnvironment,
  { log, signal, svids }: { log: Log; signal: AbortSignal; svids?: OwnSvids | undefined },
): Promise<RegistryImages> {
  const { imageCache, imageCacheSize, plainHttpRegistry = [], registryMirror = {}, registryIdentity = {} } = options
  const identities = Object.entries(registryIdentity).map(
    ([registry, text]) => [registry, parseRegistryIdentity(registry, text)] as const,
  )
  const { cacheDirectory, dockerConfigPath, programDirectories, helperEnvironment } = environment
  const docker = createDockerCredentials({
    configPath: dockerConfigPath,
    helperDirectories: programDirectories,
    helperEnvironment,
  })
  const client = await createOciClient({
    log,
    clock: systemClock,
    cache: {
      directory: imageCache ?? `${cacheDirectory}/images`,
      ...(imageCacheSize !== undefined && { maxBytes: imageCacheSize * 2 ** 20 }),
    },
    credentials:
      svids === undefined
        ? docker
        : createIdentityCredentials({ registries: new Map(identities), svids, others: docker }),
    plainHttpRegistries: plainHttpRegistry,
    mirrors: Object.fromEntries(
      Object.entries(registryMirror).map(([registry, mirrors]) => [registry, mirrors.split(',')]),
    ),
    lingerMs,
    signal,
  })
  const files = createFileImageSource()
  return {
    client,
    source: (credentials) => createOciImageSource({ client, files, ...(credentials && { credentials }) }),
  }
}
