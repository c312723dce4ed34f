import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { transpileBytes } from '../../node_modules/@bytecodealliance/jco-transpile/dist/transpile.js'
import { createWasi, type WasiDependencies } from '../../src/wasi/create-wasi.ts'
import type { HttpExchange } from '../../src/wasi/http-exchange.ts'
import type { WasiInstance, WasiOptions } from '../../src/wasi/wasi.ts'
import { wasiWaits } from '../../src/wasi/wasi-interfaces.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const witFolder = join(root, 'node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12')
const packages = ['io', 'clocks', 'random', 'cli', 'filesystem', 'sockets', 'http']
/** All that has functions; `wasi` in a script is an object of them. */
const interfaces = [
  ...['wasi:io/error', 'wasi:io/poll', 'wasi:io/streams'],
  ...['wasi:clocks/monotonic-clock', 'wasi:clocks/wall-clock'],
  ...['wasi:random/random', 'wasi:random/insecure', 'wasi:random/insecure-seed'],
  ...['environment', 'exit', 'stdin', 'stdout', 'stderr', 'terminal-stdin', 'terminal-stdout', 'terminal-stderr'].map(
    (name) => `wasi:cli/${name}`,
  ),
  ...['wasi:filesystem/types', 'wasi:filesystem/preopens', 'wasi:http/types', 'wasi:http/outgoing-handler'],
  ...['instance-network', 'ip-name-lookup', 'tcp', 'tcp-create-socket', 'udp', 'udp-create-socket'].map(
    (name) => `wasi:sockets/${name}`,
  ),
]

const world = `package test:guest;
world guest {
  include wasi:cli/imports@0.2.12;
  import wasi:http/types@0.2.12;
  import wasi:http/outgoing-handler@0.2.12;
  export wasi:http/incoming-handler@0.2.12;
  export call: func(script: string) -> result<string, string>;
}
`

/** Runs the script it is called with; the script sees `wasi` and returns something that JSON can hold. */
const source = `
${interfaces.map((name, index) => `import * as i${index} from '${name}@0.2.12'`).join('\n')}
const wasi = { ${interfaces.map((name, index) => `'${name}': i${index}`).join(', ')} }
const bytes = (text) => new TextEncoder().encode(text)
const text = (data) => new TextDecoder().decode(data)
const caught = (run) => { try { return { value: run() } } catch (error) { if (!('payload' in error)) throw error; return { error: error.payload } } }
const json = (value) => JSON.stringify(value, (_key, item) => typeof item === 'bigint' ? Number(item) : ArrayBuffer.isView(item) ? Array.from(item) : item) ?? 'null'
globalThis.handler = () => {}
export function call(script) {
  try { return json(new Function('wasi', 'bytes', 'text', 'caught', script)(wasi, bytes, text, caught)) }
  catch (error) { throw String(error) + '\\n' + (error.stack ?? '') + (error.payload === undefined ? '' : json(error.payload)) }
}
export const incomingHandler = { handle(request, out) { globalThis.handler(request, out, wasi, bytes, text, caught) } }
`

type Exports = {
  call(script: string): Promise<string>
  incomingHandler: { handle(request: object, out: object): Promise<void> }
}
type Instantiate = (
  getCoreModule: (name: string) => WebAssembly.Module,
  imports: Record<string, object>,
) => Promise<Exports>

/** A guest in JavaScript that imports all of WASI 0.2.12, through jco's own output with JSPI. */
export class Guest implements Disposable {
  readonly lines: [stream: string, text: string][]
  readonly wasi: WasiInstance
  readonly #exports: Exports
  readonly #abort: AbortController

  private constructor(
    exports: Exports,
    wasi: WasiInstance,
    lines: [stream: string, text: string][],
    abort: AbortController,
  ) {
    this.#exports = exports
    this.wasi = wasi
    this.lines = lines
    this.#abort = abort
  }

  static async open(options: Partial<WasiOptions> = {}, dependencies: WasiDependencies = {}): Promise<Guest> {
    const lines: [string, string][] = []
    const abort = new AbortController()
    const made = createWasi(
      wasiOptions({ onOutput: (stream, text) => lines.push([stream, text]), ...options }),
      dependencies,
    )
    const wasi = made.instance({ signal: abort.signal })
    const { instantiate, getCoreModule } = await transpiled()
    return new Guest(await instantiate(getCoreModule, wasi.imports), wasi, lines, abort)
  }

  /** The script's result; rejects with what it threw. */
  async call(script: string): Promise<unknown> {
    return JSON.parse(await this.#exports.call(script))
  }

  /** Sets the function body (of `request, out, wasi, bytes, text, caught`) that answers requests. */
  async onRequest(body: string): Promise<void> {
    await this.call(
      `globalThis.handler = new Function('request', 'out', 'wasi', 'bytes', 'text', 'caught', ${JSON.stringify(body)})`,
    )
  }

  /** One request from start to end, as an engine does it. @throws what `finished` rejects with, or the trap */
  async handle(exchange: HttpExchange): Promise<void> {
    const { request, responseOut, finished, handlerReturned } = this.wasi.startRequest(exchange)
    try {
      await this.#exports.incomingHandler.handle(request, responseOut)
    } finally {
      handlerReturned()
    }
    await finished
  }

  abort(reason: Error): void {
    this.#abort.abort(reason)
  }

  [Symbol.dispose](): void {
    this.wasi[Symbol.dispose]()
  }
}

export function wasiOptions(options: Partial<WasiOptions> = {}): WasiOptions {
  return {
    environment: {},
    args: [],
    allowedHosts: [],
    allowedIpNameLookups: [],
    allowedHostLoopbackPorts: [],
    deniedAddresses: [],
    preopens: [],
    maxBodyBytes: 1 << 20,
    onOutput: () => {},
    ...options,
  }
}

let once: ReturnType<typeof transpileGuest> | undefined

function transpiled(): ReturnType<typeof transpileGuest> {
  once ??= transpileGuest()
  return once
}

async function transpileGuest(): Promise<{
  instantiate: Instantiate
  getCoreModule: (name: string) => WebAssembly.Module
}> {
  const key = createHash('sha256').update(world).update(source).digest('hex').slice(0, 16)
  const folder = join(root, 'build/test-guest', key)
  const component = await readFile(join(folder, 'guest.wasm')).catch(() => buildGuest(folder))
  const { files } = await transpileBytes(component, {
    name: 'guest',
    instantiation: 'async',
    asyncMode: 'jspi',
    asyncImports: [...wasiWaits],
    asyncExports: ['call', 'wasi:http/incoming-handler#handle'],
    emitTypescriptDeclarations: false,
  })
  const modules = new Map(Object.entries(files).map(([name, bytes]) => [name, Uint8Array.from(bytes)] as const))
  const script = modules.get('guest.js')
  if (script === undefined) throw new Error('jco gave no guest.js')
  const path = join(folder, `guest-${process.pid}.mjs`)
  await writeFile(path, script)
  const { instantiate } = (await import(pathToFileURL(path).href)) as { instantiate: Instantiate }
  const compiled = new Map<string, WebAssembly.Module>()
  return {
    instantiate,
    getCoreModule(name) {
      const known = compiled.get(name)
      if (known !== undefined) return known
      const module = new WebAssembly.Module(modules.get(name) ?? new Uint8Array())
      compiled.set(name, module)
      return module
    },
  }
}

async function buildGuest(folder: string): Promise<Uint8Array> {
  await mkdir(folder, { recursive: true })
  const wit = await writeWit(join(folder, `wit-${process.pid}`))
  // Their WIT parser is a component that reads files through preview2-shim, which since 0.26.1 shows none unless told to.
  const shim = '@bytecodealliance/preview2-shim/filesystem'
  const { _addPreopen } = (await import(shim)) as { _addPreopen(guest: string, host: string): void }
  _addPreopen('/', '/')
  const { componentize } = await import('@bytecodealliance/componentize-js')
  const sourcePath = join(folder, `guest-source-${process.pid}.js`)
  await writeFile(sourcePath, source)
  const { component } = await componentize({
    sourcePath,
    witPath: wit,
    worldName: 'guest',
    disableFeatures: ['fetch-event', 'http'],
  })
  const temporary = join(folder, `guest-${process.pid}.wasm`)
  await writeFile(temporary, component)
  await rename(temporary, join(folder, 'guest.wasm'))
  return component
}

async function writeWit(folder: string): Promise<string> {
  for (const name of packages) {
    const target = join(folder, 'deps', name, 'package.wit')
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, await readFile(join(witFolder, `wasi-${name}`, 'package.wit')))
  }
  await writeFile(join(folder, 'guest.wit'), world)
  return folder
}
