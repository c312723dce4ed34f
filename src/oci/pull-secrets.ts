import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { createDockerCredentials } from './docker-credentials.ts'
import type { OciCredentials } from './oci-credentials.ts'

export type PullSecretRequest = {
  /** The name in `imagePullSecret`; from a manifest, so not to be trusted. */
  readonly name: string
  /** `ghcr.io`, `localhost:5000`. */
  readonly registry: string
  readonly signal: AbortSignal
}

const namePattern = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/

/**
 * Credentials of the secret called `name` in a directory: `NAME/.dockerconfigjson` as a mounted Secret has it, else `NAME.json`, both as docker
 * writes its config.json; without credential helpers. @throws ERR_OCI_CREDENTIALS_INVALID when there is no such secret, or nothing for the registry in it
 */
export async function readPullSecret(
  directory: string,
  { name, registry, signal }: PullSecretRequest,
): Promise<OciCredentials> {
  const refused = (what: string, hint: string) => new HeraldError('ERR_OCI_CREDENTIALS_INVALID', what, { hint })
  const shown = JSON.stringify(name.slice(0, 100))
  if (name.length > 253 || !namePattern.test(name))
    throw refused(`the imagePullSecret ${shown} cannot be the name of a Secret`, 'use a DNS-1123 name')
  for (const path of [join(directory, name, '.dockerconfigjson'), join(directory, `${name}.json`)]) {
    if (!(await isThere(path))) continue
    const found = await createDockerCredentials({ configPath: path, helperDirectories: [] }).find(registry, { signal })
    if (found !== undefined) return found
    throw refused(`${path} has no credentials for ${registry}`, `add them: docker --config DIRECTORY login ${registry}`)
  }
  throw refused(
    `there is no imagePullSecret ${shown} in ${directory}`,
    `put its .dockerconfigjson there as ${name}.json, or mount the Secret as ${name}/`,
  )
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
