import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'

/** Herald's own version, from its package.json: two folders up both in src and in dist. */
export function heraldVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}

export function addVersionCommand(program: Command, { stdout }: CliEnvironment): void {
  const command = program.command('version').description('print the versions of Herald and of what it runs on')
  addCommonOptions(command).action(({ output }: CommonOptions) => {
    const versions = { herald: heraldVersion(), node: process.versions.node, v8: process.versions.v8 }
    const text = `herald ${versions.herald} (node ${versions.node}, v8 ${versions.v8}, ${process.platform} ${process.arch})`
    stdout.write(`${output === 'json' ? JSON.stringify(versions) : text}\n`)
  })
}
