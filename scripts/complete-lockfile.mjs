// Completes package-lock.json after `npm install` against a registry that lacks some platforms' builds of a package: npm leaves those
// optional packages out of the lock file, and `npm ci` then refuses it everywhere. Adds an entry with version, os and cpu for each;
// they have no integrity hash, and are installed on their own platform only. Run after every change of dependencies.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const path = join(dirname(dirname(fileURLToPath(import.meta.url))), 'package-lock.json')
const lock = JSON.parse(readFileSync(path, 'utf8'))
const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

const added = []
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`
    if (key in lock.packages || !/^\d/.test(version)) continue
    const parts = name.split(/[/-]/)
    const os = parts.filter((part) => systems.includes(part))
    const cpu = parts.flatMap((part) =>
      part === 'arm' || part === 'armv7' ? 'arm' : processors.includes(part) ? part : [],
    )
    if (os.length === 0 && !cpu.includes('wasm32')) {
      console.error(`${name}@${version}: cannot tell its platform from its name; add its entry by hand`)
      process.exitCode = 1
      continue
    }
    lock.packages[key] = {
      version,
      ...(cpu.length > 0 && { cpu }),
      ...(entry.dev && { dev: true }),
      optional: true,
      ...(os.length > 0 && { os }),
      ...(parts.includes('musl') && { libc: ['musl'] }),
    }
    added.push(`${name}@${version}`)
  }
}
const root = lock.packages['']
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
lock.packages = { '': root, ...lock.packages }
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`)
console.log(added.length === 0 ? 'nothing to add' : `added ${added.join(', ')}`)
