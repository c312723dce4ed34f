import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { HeraldError } from '../../errors/herald-error.ts'
import type { InstanceState } from '../instance-state.ts'
import type { WasiOptions } from '../wasi.ts'
import { Descriptor } from './descriptor.ts'
import { OpenFile } from './open-file.ts'

/** A directory of the host that a component may see, opened once for all its instances. */
export type Preopen = {
  readonly file: OpenFile
  readonly guestPath: string
  readonly readOnly: boolean
  /** Host paths that stay out of reach though they lie below it. */
  readonly deniedPaths: readonly string[]
}

/** @throws ERR_PREOPEN_INVALID */
export function openPreopens({
  preopens,
  deniedAddresses,
}: Pick<WasiOptions, 'preopens' | 'deniedAddresses'>): Preopen[] {
  if (preopens.length === 0) return []
  if (!existsSync('/proc/self/fd')) {
    throw new HeraldError('ERR_PREOPEN_INVALID', 'directories can be mounted for components on Linux with /proc only', {
      hint: 'remove the volume mounts, or run the host on Linux',
    })
  }
  const deniedPaths = deniedAddresses.filter((entry) => entry.startsWith('/')).map((entry) => entry.replace(/\/+$/, ''))
  const opened: Preopen[] = []
  try {
    for (const { hostPath, guestPath, readOnly } of preopens) {
      const fd = openDirectory(hostPath)
      opened.push({ file: new OpenFile(fd, undefined), guestPath, readOnly, deniedPaths })
    }
    return opened
  } catch (error) {
    for (const { file } of opened) closeSync(file.fd)
    throw error
  }
}

/** `wasi:filesystem/preopens`. */
export function preopensOfInstance(instance: InstanceState, preopens: readonly Preopen[]): object {
  return {
    getDirectories: (): [Descriptor, string][] =>
      preopens.map((preopen) => [Descriptor.ofPreopen(instance, preopen), preopen.guestPath]),
  }
}

function openDirectory(hostPath: string): number {
  try {
    return openSync(hostPath, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (cause) {
    throw new HeraldError('ERR_PREOPEN_INVALID', `the directory ${hostPath} cannot be opened`, {
      hint: 'create the directory, or correct the volume',
      cause,
    })
  }
}
