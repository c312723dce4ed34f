import { resolve } from 'node:path'
import type { ImageReference } from '../manifest/image-reference.ts'
import type { Workload } from '../manifest/workload.ts'
import type { OciCredentials } from '../oci/oci-credentials.ts'
import { readPullSecret } from '../oci/pull-secrets.ts'

export type PullSecretsOptions = {
  /** Directory of what `imagePullSecret` names; without it the names mean nothing, and that is said. */
  readonly pullSecrets?: string
}

/** Credentials of the images of a workload that name an imagePullSecret, read now. @throws ERR_OCI_CREDENTIALS_INVALID */
export async function pullSecretsOf(
  { namespace, name, components, service }: Workload,
  { pullSecrets }: PullSecretsOptions,
  { cwd, signal, warn }: { readonly cwd: string; readonly signal: AbortSignal; readonly warn: (text: string) => void },
): Promise<ReadonlyMap<ImageReference, OciCredentials>> {
  const found = new Map<ImageReference, OciCredentials>()
  for (const { image, imagePullSecret } of [...components, ...(service === undefined ? [] : [service])]) {
    if (image.kind === 'file' || imagePullSecret === undefined) continue
    if (pullSecrets === undefined) {
      warn(
        `${namespace}/${name}: the imagePullSecret ${imagePullSecret} is not read, for want of --pull-secrets: whoever pulls ${image.reference} uses credentials of its own`,
      )
      continue
    }
    const request = { name: imagePullSecret, registry: image.registry, signal }
    found.set(image, await readPullSecret(resolve(cwd, pullSecrets), request))
  }
  return found
}
