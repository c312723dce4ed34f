import { join } from 'node:path'
import { type BuildOptions, buildServer, pinnedVersion } from './servers/build-server.ts'
import {
  type ProgramName,
  parseServerName,
  type ServerName,
  serverBuilds,
  serverNames,
  serverOfProgram,
} from './servers/catalog.ts'

export { ensureDebianPackages, wasmCompilerPackages } from './servers/debian-packages.ts'

const usage = `Usage: node scripts/servers.ts COMMAND

The real servers that the tests run, built from their Go modules and kept outside the tree
(HERALD_CACHE_DIR, else XDG_CACHE_HOME/herald, else ~/.cache/herald).

  build [NAME…]   builds these servers, or all; does nothing for those that are kept already
  list            names, versions and programs
  path PROGRAM    builds the program's server if need be and prints the path of the program

Needs Go 1.26.6 or later, and for spire a C compiler. Exit code: 0, 1 when a build fails, 2 when the command is not understood.
`

/** Builds the servers one after the other (each uses all cores by itself); those in the cache cost nothing. */
export async function buildServers(names: readonly ServerName[], options: BuildOptions = {}): Promise<void> {
  for (const name of names) await buildServer(name, options)
}

/** The absolute path of a program of one of the servers, built first if need be. */
export async function programPath(program: ProgramName, options: BuildOptions = {}): Promise<string> {
  return join(await buildServer(serverOfProgram(program), options), program)
}

async function main([command, ...names]: readonly string[]): Promise<number> {
  switch (command) {
    case 'build':
      await buildServers(names.length > 0 ? names.map(parseServerName) : serverNames)
      return 0
    case 'list':
      for (const name of serverNames) {
        const programs = Object.keys(serverBuilds[name].programs).join(', ')
        process.stdout.write(`${name.padEnd(14)} ${(await pinnedVersion(name)).padEnd(38)} ${programs}\n`)
      }
      return 0
    case 'path': {
      const [program, ...rest] = names
      if (program === undefined || rest.length > 0) break
      process.stdout.write(`${await programPath(program as ProgramName)}\n`)
      return 0
    }
    case '--help':
      process.stdout.write(usage)
      return 0
  }
  process.stderr.write(usage)
  return 2
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`servers: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
