import { existsSync, globSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../servers/run-program.ts'

/** Name and version of a Debian package in the image. */
export type DebianPackage = { readonly name: string; readonly version: string; readonly architecture: string }

/** What the node binary is linked against, what names and services are looked up in, and what says which system this is. */
const packages = ['base-files', 'netbase', 'libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1'] as const

/** What nobody reads in a container, by Debian-slim's own rule; licences (`copyright`) stay. */
const left = [
  'usr/share/doc/*/!(copyright)',
  'usr/share/man',
  'usr/share/info',
  'usr/share/lintian',
  'usr/share/locale',
  'usr/lib/*/gconv',
  'usr/lib/*/audit',
]

/**
 * Unpacks Debian packages of this machine's release into a root file system, without their maintainer scripts, and records them where
 * scanners look (`/var/lib/dpkg/status.d`). @throws where apt-get cannot fetch them; says what it said
 */
export async function unpackDebianPackages(rootfs: string, downloads: string): Promise<readonly DebianPackage[]> {
  mkdirSync(downloads, { recursive: true })
  mkdirSync(join(rootfs, 'var/lib/dpkg/status.d'), { recursive: true })
  if (!existsSync('/usr/bin/apt-get'))
    throw new Error('the image is put together from Debian packages: run this on Debian, or build the Dockerfile')
  let fetched = await runProgram('apt-get', ['download', '-q', ...packages], { cwd: downloads })
  if (fetched.exitCode !== 0) {
    // A fresh machine has no lists yet.
    await runProgram('apt-get', ['update', '-q'])
    fetched = await runProgram('apt-get', ['download', '-q', ...packages], { cwd: downloads })
  }
  if (fetched.exitCode !== 0) throw new Error(`apt-get download failed: ${fetched.output.trim()}`)
  const found: DebianPackage[] = []
  for (const file of readdirSync(downloads)
    .filter((name) => name.endsWith('.deb'))
    .sort()) {
    const path = join(downloads, file)
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholders
    const fields = await run('dpkg-deb', ['--show', '--showformat', '${Package}\t${Version}\t${Architecture}', path])
    const [name, version, architecture] = fields.split('\t') as [string, string, string]
    writeFileSync(join(rootfs, 'var/lib/dpkg/status.d', name), await run('dpkg-deb', ['--field', path]))
    await run('dpkg-deb', ['--extract', path, rootfs])
    found.push({ name, version, architecture })
  }
  for (const pattern of left) {
    for (const path of globSync(pattern.replace('!(copyright)', '*'), { cwd: rootfs })) {
      if (!path.endsWith('/copyright')) rmSync(join(rootfs, path), { recursive: true })
    }
  }
  return found
}

async function run(program: string, args: readonly string[]): Promise<string> {
  const result = await runProgram(program, args)
  if (result.exitCode === 0) return result.stdout
  throw new Error(`${program} ${args.join(' ')} failed: ${result.startError?.message ?? result.output.trim()}`)
}
