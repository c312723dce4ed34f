import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { HeraldError } from '../errors/herald-error.ts'
import { type ImageReference, parseImageReference } from '../manifest/image-reference.ts'
import type { Workload } from '../manifest/workload.ts'
import type { OciClient } from '../oci/oci-client.ts'
import { matches } from './choose-hosts.ts'
import type { Fleet } from './lattice-client.ts'

export type TravelOptions = {
  /** Where files are pushed to, `ghcr.io/team/api`. */
  readonly push: { readonly repository: string; readonly client: OciClient } | undefined
  readonly onProgress: (text: string) => void
  readonly signal: AbortSignal
}

/** A workload whose images every host can fetch, and the digests of the files that are read where they are. */
export type TravellingWorkload = { readonly workload: Workload; readonly fileDigests: readonly string[] }

/**
 * `file://` images do not travel: they are pushed and named by digest, or taken as they are when each host that may get the workload is on
 * this machine and takes files. @throws ERR_IMAGE_INVALID with what to do, ERR_OCI_…
 */
export async function makeTravel(
  workload: Workload,
  fleet: () => Promise<Fleet>,
  { push, onProgress, signal }: TravelOptions,
): Promise<TravellingWorkload> {
  const { components, service } = workload
  const units = [...components, ...(service === undefined ? [] : [service])]
  const files = [...new Set(units.flatMap(({ image }) => (image.kind === 'file' ? [image.path] : [])))]
  if (files.length === 0) return { workload, fileDigests: [] }
  const bytesOf = new Map(await Promise.all(files.map(async (file) => [file, await readFile(file)] as const)))
  if (push === undefined) {
    const hosts = (await fleet()).hosts.filter((host) => matches(host, workload))
    const here = hosts.filter(({ acceptsFiles, heartbeat }) => acceptsFiles && heartbeat.hostname === hostname())
    if (hosts.length === 0 || here.length < hosts.length) {
      throw new HeraldError(
        'ERR_IMAGE_INVALID',
        `file://${files[0]} stands on this machine, and hosts cannot read it`,
        {
          hint: 'push it: --push REGISTRY/NAME; or herald oci push, and name it by its registry',
        },
      )
    }
    return { workload, fileDigests: [...bytesOf.values()].map(sha256) }
  }
  const pushed = new Map<string, ImageReference>()
  for (const [file, bytes] of bytesOf) {
    const tag = sha256(bytes).slice(0, 12)
    onProgress(`pushing ${file} (${bytes.length} bytes) to ${push.repository}:${tag}`)
    const { manifestDigest } = await push.client.push(`${push.repository}:${tag}`, bytes, { signal })
    pushed.set(file, parseImageReference(`${push.repository}:${tag}@${manifestDigest}`, '/'))
  }
  const travel = <U extends { readonly image: ImageReference }>(unit: U): U => ({
    ...unit,
    image: (unit.image.kind === 'file' ? pushed.get(unit.image.path) : undefined) ?? unit.image,
  })
  return {
    workload: { ...workload, components: components.map(travel), service: service && travel(service) },
    fileDigests: [],
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
