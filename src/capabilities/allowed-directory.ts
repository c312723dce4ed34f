import { realpath } from 'node:fs/promises'
import { isAbsolute, sep } from 'node:path'
import type { EntrySettings } from './entry-settings.ts'

/** The real path of an entry's `root`, which must stand under a directory that the host allows. @throws ERR_CAPABILITY_CONFIG */
export async function allowedDirectory(settings: EntrySettings, allowed: readonly string[]): Promise<string> {
  const root = settings.text('root')
  if (root === undefined || !isAbsolute(root))
    throw settings.refusal('it has no root', 'give root, an absolute directory')
  if (allowed.length === 0) {
    throw settings.refusal('this host allows no directories', 'start it with --allow-host-path DIR')
  }
  const real = await realpath(root).catch((cause) => {
    throw settings.refusal(`root ${root} is not there`, 'create the directory, or correct the path', cause)
  })
  for (const directory of allowed) {
    const known = await realpath(directory).catch(() => undefined)
    if (known !== undefined && (real === known || real.startsWith(known.endsWith(sep) ? known : known + sep)))
      return real
  }
  throw settings.refusal(`root ${real} is not under a directory this host allows`, `allowed: ${allowed.join(', ')}`)
}
