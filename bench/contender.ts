import { join } from 'node:path'
import { freePort } from '../test/support/free-port.ts'
import { type ServerProcess, startServerProcess } from '../test/support/server-process.ts'
import { killChildren } from './process-tree.ts'

/** A server under measurement, as a process of its own. Disposal kills it. */
export type Contender = AsyncDisposable & { readonly port: number; readonly server: ServerProcess }

export type ContenderProgram = {
  readonly program: string
  readonly args: (port: number) => readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export type ServingKind = 'bare' | 'ingress' | 'direct'

/** `bench/engine-server.ts`. */
export function ownProgram(kind: ServingKind, threads: number, component = '', poolSize = 8): ContenderProgram {
  const script = join(import.meta.dirname, 'engine-server.ts')
  const rest = [String(threads), component, String(poolSize)]
  return { program: process.execPath, args: (port) => [script, kind, String(port), ...rest] }
}

/** `jco serve` of the installed package. */
export function jcoProgram(component: string): ContenderProgram {
  const jco = join(import.meta.dirname, '..', 'node_modules', '@bytecodealliance', 'jco', 'dist', 'jco.js')
  return {
    program: process.execPath,
    args: (port) => [jco, 'serve', component, '--host', '127.0.0.1', '--port', String(port)],
  }
}

/** Resolves once it says hello. @throws Error with the end of its output when it does not. */
export async function startContender(name: string, { program, args, env = {} }: ContenderProgram): Promise<Contender> {
  const port = await freePort()
  const server = await startServerProcess({
    name,
    program,
    args: args(port),
    env,
    async isReady(signal) {
      const answer = await fetch(`http://127.0.0.1:${port}/`, { signal })
      const text = await answer.text()
      if (answer.status === 200 && text === 'hello\n') return true
      throw new Error(`it answered ${answer.status} ${JSON.stringify(text.slice(0, 100))}`)
    },
  })
  return {
    port,
    server,
    async [Symbol.asyncDispose]() {
      // What it started itself (`jco serve` does) would outlive it.
      await killChildren(server.pid)
      await server[Symbol.asyncDispose]()
    },
  }
}
