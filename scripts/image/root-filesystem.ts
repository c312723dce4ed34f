import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { runProgram } from '../servers/run-program.ts'
import { type DebianPackage, unpackDebianPackages } from './debian-packages.ts'
import { findShippedPackages, type ShippedPackage } from './shipped-packages.ts'

/** The user that the image runs as; the one that distroless images call nonroot. */
export const nonRoot = { uid: 65_532, gid: 65_532 } as const

export type RootFilesystem = {
  /** Debian's files and Node: changes seldom, so it is a layer of its own. */
  readonly systemDirectory: string
  /** Herald and the packages it uses, all below `/herald`. */
  readonly applicationDirectory: string
  readonly debianPackages: readonly DebianPackage[]
  readonly npmPackages: readonly ShippedPackage[]
}

/** Puts together what the image holds, in two folders below `workspace`. @throws with the compiler's or apt-get's words */
export async function buildRootFilesystem(root: string, workspace: string): Promise<RootFilesystem> {
  const systemDirectory = join(workspace, 'system')
  const applicationDirectory = join(workspace, 'application')
  const [debianPackages, npmPackages] = await Promise.all([
    buildSystem(root, systemDirectory, join(workspace, 'debian')),
    buildApplication(root, join(applicationDirectory, 'herald')),
  ])
  return { systemDirectory, applicationDirectory, debianPackages, npmPackages }
}

async function buildSystem(root: string, directory: string, downloads: string): Promise<readonly DebianPackage[]> {
  const packages = await unpackDebianPackages(directory, downloads)
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), text)
  }
  const { uid, gid } = nonRoot
  write('etc/passwd', `root:x:0:0:root:/:/sbin/nologin\nnonroot:x:${uid}:${gid}:nonroot:/tmp:/sbin/nologin\n`)
  write('etc/group', `root:x:0:\nnonroot:x:${gid}:\n`)
  write('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\n')
  for (const path of ['tmp', 'proc', 'sys', 'dev', 'run', 'etc/herald', 'var/cache/herald'])
    mkdirSync(join(directory, path), { recursive: true })
  chmodSync(join(directory, 'tmp'), 0o1777)
  const node = join(directory, 'usr/local/bin/node')
  mkdirSync(dirname(node), { recursive: true })
  copyFileSync(join(root, 'node_modules/node/bin/node'), node)
  chmodSync(node, 0o755)
  // Symbols for debuggers are a fifth of it. Without binutils the image is only larger.
  await runProgram('strip', ['--strip-all', node])
  return packages
}

async function buildApplication(root: string, directory: string): Promise<readonly ShippedPackage[]> {
  mkdirSync(directory, { recursive: true })
  const compiler = join(root, 'node_modules/.bin/tsc')
  const compiled = await runProgram(
    compiler,
    ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(directory, 'dist')],
    { cwd: root },
  )
  if (compiled.exitCode !== 0) throw new Error(`tsc failed: ${compiled.output.trim()}`)
  for (const path of ['proto', 'wit', 'LICENSE']) cpSync(join(root, path), join(directory, path), { recursive: true })
  const { name, version, type } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify({ name, version, type })}\n`)
  const packages = await findShippedPackages(root)
  for (const { directory: from } of packages) {
    const to = join(directory, relative(root, from))
    cpSync(from, to, {
      recursive: true,
      // Packages inside packages are listed by themselves; types and maps are for whoever develops.
      filter: (path) =>
        !/\.(map|d\.[cm]?ts)$/.test(path) && !relative(from, path).startsWith('node_modules') && existsSync(path),
    })
  }
  return packages
}
