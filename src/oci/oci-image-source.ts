import type { ImageReference } from '../manifest/image-reference.ts'
import type { ImageSource } from '../manifest/image-source.ts'
import type { ImagePullPolicy } from '../manifest/workload.ts'
import type { OciClient, PullPolicy } from './oci-client.ts'
import type { OciCredentials } from './oci-credentials.ts'

export type OciImageSourceOptions = {
  readonly client: OciClient
  /** Asked for `file://` images. */
  readonly files: ImageSource
  /** A workload's own credentials, by the very reference values of the workload. Default: the client's. */
  readonly credentials?: ReadonlyMap<ImageReference, OciCredentials>
}

/** Registry images through the OCI client, files as before. The digest is that of the manifest. */
export function createOciImageSource({ client, files, credentials }: OciImageSourceOptions): ImageSource {
  return {
    async fetch(image, { signal, pullPolicy }) {
      if (image.kind === 'file') return await files.fetch(image, { signal })
      const policy = pullPolicy && policies[pullPolicy]
      const { bytes, manifestDigest } = await client.pull(image.reference, {
        credentials: credentials?.get(image),
        policy,
        signal,
      })
      return { bytes, digest: manifestDigest }
    },
  }
}

const policies: Readonly<Record<ImagePullPolicy, PullPolicy>> = {
  Always: 'always',
  IfNotPresent: 'if-not-present',
  Never: 'never',
}
