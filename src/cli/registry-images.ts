import { systemClock } from '../clock/clock.ts'
import type { ImageReference } from '../manifest/image-reference.ts'
import { createFileImageSource, type ImageSource } from '../manifest/image-source.ts'
import type { Log } from '../observability/log.ts'
import { createDockerCredentials } from '../oci/docker-credentials.ts'
import { createOciClient, type OciClient } from '../oci/oci-client.ts'
import type { OciCredentials } from '../oci/oci-credentials.ts'
import { createOciImageSource } from '../oci/oci-image-source.ts'
import type { RegistryEnvironment } from './environment.ts'

export type RegistryOptions = {
  readonly imageCache?: string
  readonly imageCacheSize?: number
  readonly plainHttpRegistry?: readonly string[]
  readonly registryMirror?: Readonly<Record<string, string>>
}

export type RegistryImages = {
  readonly client: OciClient
  /** Files and registries; with the credentials a workload brings, if it does. */
  source(credentials?: ReadonlyMap<ImageReference, OciCredentials>): ImageSource
}

/** Ten minutes: a large image goes on into the cache after the start that wanted it was given up. */
const lingerMs = 600_000

/** Images for a host, from files and registries, by the command's options. @throws ERR_OCI_CACHE_UNUSABLE */
export async function openRegistryImages(
  { imageCache, imageCacheSize, plainHttpRegistry = [], registryMirror = {} }: RegistryOptions,
  environment: RegistryEnvironment,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<RegistryImages> {
  const { cacheDirectory, dockerConfigPath, programDirectories, helperEnvironment } = environment
  const client = await createOciClient({
    log,
    clock: systemClock,
    cache: {
      directory: imageCache ?? `${cacheDirectory}/images`,
      ...(imageCacheSize !== undefined && { maxBytes: imageCacheSize * 2 ** 20 }),
    },
    credentials: createDockerCredentials({
      configPath: dockerConfigPath,
      helperDirectories: programDirectories,
      helperEnvironment,
    }),
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
