import { mkdir, mkdtemp, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import type { ComponentSpec } from '../engine/engine.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { VolumeMount, WorkloadVolume } from '../manifest/workload.ts'

export interface MountedVolumes extends AsyncDisposable {
  preopensOf(mounts: readonly VolumeMount[]): ComponentSpec['preopens']
}

/**
 * Makes the volumes of one replica: a fresh directory for each ephemeral one, removed on disposal, and the directories of the machine
 * that the host allows.
 * @param allowedHostPaths directories under which hostPath volumes may stand; none = no hostPath at all.
 * @throws ERR_WORKLOAD_VOLUME
 */
export async function mountVolumes(
  volumes: readonly WorkloadVolume[],
  { allowedHostPaths }: { allowedHostPaths: readonly string[] },
): Promise<MountedVolumes> {
  await using cleanup = new AsyncDisposableStack()
  const paths = new Map<string, string>()
  let scratch: string | undefined
  for (const volume of volumes) {
    if (volume.kind === 'hostPath') {
      paths.set(volume.name, await checkHostPath(volume.name, volume.path, allowedHostPaths))
      continue
    }
    if (scratch === undefined) {
      const directory = await mkdtemp(join(tmpdir(), 'herald-volumes-'))
      cleanup.defer(() => rm(directory, { recursive: true, force: true }))
      scratch = directory
    }
    const path = join(scratch, volume.name)
    await mkdir(path, { mode: 0o700 })
    paths.set(volume.name, path)
  }
  const owned = cleanup.move()
  return {
    preopensOf: (mounts) =>
      mounts.map(({ name, mountPath, readOnly }) => {
        const hostPath = paths.get(name)
        if (hostPath === undefined)
          throw new HeraldError('ERR_WORKLOAD_VOLUME', `there is no volume ${JSON.stringify(name)}`)
        return { hostPath, guestPath: mountPath, readOnly }
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The real path of a hostPath volume. Symbolic links are followed before the comparison, so that none leads out of what is allowed. */
async function checkHostPath(name: string, path: string, allowed: readonly string[]): Promise<string> {
  const refuse = (what: string, hint: string, cause?: unknown) =>
    new HeraldError('ERR_WORKLOAD_VOLUME', `volume ${JSON.stringify(name)}: ${what}`, { hint, cause })
  if (allowed.length === 0) {
    throw refuse(`this host allows no hostPath volumes`, 'start it with --allow-host-path DIR, or use ephemeral: {}')
  }
  let real: string
  try {
    real = await realpath(path)
  } catch (cause) {
    throw refuse(`${path} is not there`, 'create the directory, or correct the path', cause)
  }
  if (!(await stat(real)).isDirectory()) throw refuse(`${path} is not a directory`, 'name a directory')
  for (const directory of allowed) {
    const root = await realpath(directory).catch(() => undefined)
    if (root !== undefined && (real === root || real.startsWith(root.endsWith(sep) ? root : root + sep))) return real
  }
  throw refuse(
    `${real} is not under a directory this host allows`,
    `allowed: ${allowed.join(', ')} (--allow-host-path)`,
  )
}
