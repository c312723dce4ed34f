import { createFileImageSource, type ImageSource } from '../manifest/image-source.ts'
import type { Log } from '../observability/log.ts'
import { readRegistryEnvironment } from './environment.ts'
import { openRegistryImages } from './registry-images.ts'

/** Files, and registries with docker's credentials; the cache of images is opened, and made, only when the first one is pulled. */
export function lazyRegistryImages(options: { log: Log; signal: AbortSignal }): ImageSource {
  const files = createFileImageSource()
  let registries: Promise<ImageSource> | undefined
  return {
    async fetch(image, fetchOptions) {
      if (image.kind === 'file') return files.fetch(image, fetchOptions)
      registries ??= openRegistryImages({}, readRegistryEnvironment(), options).then((images) => images.source())
      return (await registries).fetch(image, fetchOptions)
    },
  }
}
