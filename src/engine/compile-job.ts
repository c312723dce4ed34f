import { createHash } from 'node:crypto'
import { HeraldError } from '../errors/herald-error.ts'
import { answersOnce } from './answers-once.ts'
import { type Artifact, ArtifactCache } from './artifact-cache.ts'
import { readComponent } from './component-binary.ts'
import { checkImports, unsupportedWasi } from './component-imports.ts'
import { capMemory, type HostedMemory } from './core-module.ts'
import type { ComponentDescription } from './engine.ts'
import { glueVersion } from './glue-version.ts'
import { WasmFormatError } from './wasm-reader.ts'

/**
 * Three times the glue of CPython with nearly all of WASI. A type of 16 pairs of pairs, a component of 350 bytes, makes 20 MB,
 * which took 12 s and 1.6 GB to parse.
 */
const maxGlueCharacters = 6_000_000

export type CompileJob = {
  readonly component: string
  readonly bytes: Uint8Array
  /** Interfaces this host serves to the component; `undefined`: only describe it, whatever it imports. */
  readonly served: readonly string[] | undefined
  /** Only described, and its glue is not asked about: it need not be transpiled, which is most of the work. */
  readonly quick?: boolean
  readonly waits: readonly string[]
  readonly memoryLimitMb: number
  /** Leaves compiling the core modules to whoever gets their bytes: another process, which a module cannot be sent to. */
  readonly uncompiled?: boolean
  /** For tests and comparisons: keep jco's output as it is. */
  readonly keepGlue?: boolean
  /** Where transpiled components are kept; absent: nowhere. */
  readonly cacheDir?: string | undefined
}

export type CompiledComponent = {
  readonly description: ComponentDescription
  /** A script whose value is jco's `instantiate` function. */
  readonly script: string
  /** Compiled core modules by the name the script asks for; empty when only described, or uncompiled. */
  readonly modules: ReadonlyMap<string, WebAssembly.Module>
  /** By the same names, and only when asked for uncompiled: the modules' bytes, their memories capped. */
  readonly cores?: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
  /** By the same names: modules whose memory the cell makes (see `memory-shelf.ts`). */
  readonly memories: ReadonlyMap<string, HostedMemory>
}

/**
 * All work on a component's hostile bytes before it runs; to be called on a thread that may die.
 * @throws HeraldError with an ERR_COMPONENT_… code
 */
export async function compileComponent(job: CompileJob): Promise<CompiledComponent> {
  const facts = readFacts(job)
  if (job.served !== undefined)
    checkImports(job.component, facts.imports, [...job.served, ...facts.signatures.typesOnly])
  const minimumMemoryBytes = Math.max(0, ...facts.coreModules.map((module) => module.minimumMemoryBytes))
  const capBytes = job.memoryLimitMb * 1024 * 1024
  if (job.served !== undefined && minimumMemoryBytes > capBytes) {
    throw new HeraldError(
      'ERR_COMPONENT_MEMORY',
      `component ${job.component} starts with ${minimumMemoryBytes} bytes of memory; its limit is ${job.memoryLimitMb} MiB`,
      { hint: `set memoryLimitMb to at least ${Math.ceil(minimumMemoryBytes / 1024 / 1024)}` },
    )
  }
  const sha256 = createHash('sha256').update(job.bytes).digest('hex')
  const { script, glue, modules } = await transpileCached(job, facts, sha256)
  const compiled = new Map<string, WebAssembly.Module>()
  const cores = new Map<string, Uint8Array<ArrayBuffer>>()
  const memories = new Map<string, HostedMemory>()
  if (job.served !== undefined) {
    for (const [name, original] of modules) {
      // Of an async guest something may still run when its call has returned: its memory must stay its own.
      const { bytes, hostedMemory } = capMemory(original, capBytes, { hostMemory: glue.slim })
      if (job.uncompiled) cores.set(name, bytes)
      else compiled.set(name, await compileModule(job.component, bytes))
      if (hostedMemory !== undefined) memories.set(name, hostedMemory)
    }
  }
  return {
    description: {
      imports: facts.imports,
      exports: facts.exports,
      signatures: facts.signatures,
      sizeBytes: job.bytes.length,
      coreModules: facts.coreModules.length,
      minimumMemoryBytes,
      sha256,
      glue,
      answersOnce: answersOnce(facts.coreModules),
    },
    script,
    modules: compiled,
    memories,
    ...(job.uncompiled && { cores }),
  }
}

function readFacts(job: CompileJob) {
  const { component, bytes } = job
  if (bytes.length === 0) {
    throw new HeraldError('ERR_COMPONENT_INVALID', `component ${component}: the file is empty`, {
      hint: 'build the component again, or check the image reference',
    })
  }
  try {
    return readComponent(bytes)
  } catch (cause) {
    if (!(cause instanceof WasmFormatError)) throw cause
    const coreModule = cause.message.startsWith('a core module')
    throw new HeraldError('ERR_COMPONENT_INVALID', `component ${component} (${bytes.length} bytes): ${cause.message}`, {
      hint: coreModule
        ? 'make a component of it: jco new, or wasm-tools component new'
        : 'the file is damaged or cut off; build or fetch it again',
    })
  }
}

async function transpileCached(
  job: CompileJob,
  facts: ReturnType<typeof readFacts>,
  sha256: string,
): Promise<Artifact> {
  if (job.quick) return untranspiled('not looked at')
  if (job.cacheDir === undefined) return transpile(job, facts)
  const cache = new ArtifactCache(job.cacheDir)
  const waits = job.waits.toSorted().join(' ')
  const key = [sha256, glueVersion, `keep ${job.keepGlue ?? false}`, `waits ${waits}`].join('\n')
  const kept = await cache.read(key)
  if (kept !== undefined) return kept
  const made = await transpile(job, facts)
  if (made.modules.size > 0) await cache.write(key, made)
  return made
}

async function transpile(job: CompileJob, facts: ReturnType<typeof readFacts>): Promise<Artifact> {
  // Only described, and jco does not know the generation of WASI: what it is says the description.
  if (job.served === undefined && unsupportedWasi(facts.imports) !== undefined) {
    return untranspiled('not a WASI 0.2 component')
  }
  // Loaded when needed: jco takes longer to load than a small component takes to come from the cache.
  const [{ transpileComponent }, { slimGlue }, { bypassShim }, { glueToScript }] = await Promise.all([
    import('./transpile.ts'),
    import('./slim-glue.ts'),
    import('./bypass-shim.ts'),
    import('./glue-script.ts'),
  ])
  let transpiled: Awaited<ReturnType<typeof transpileComponent>>
  try {
    transpiled = await transpileComponent(job.bytes, { ...facts, waits: job.waits })
  } catch (cause) {
    throw new HeraldError('ERR_COMPONENT_INVALID', `component ${job.component}: ${oneLine(cause)}`, {
      hint: 'the component is damaged, or uses a proposal that jco does not know; check it with wasm-tools validate',
      cause,
    })
  }
  if (transpiled.glue.length > maxGlueCharacters) {
    throw new HeraldError(
      'ERR_COMPONENT_INVALID',
      `component ${job.component}: its types would need ${Math.round(transpiled.glue.length / 1e6)} MB of glue; at most ${maxGlueCharacters / 1e6} MB are taken`,
      { hint: 'types that contain one type many times over grow exponentially: use a list or a resource instead' },
    )
  }
  const slimmed = job.keepGlue
    ? { slim: false as const, reason: 'asked to keep it' }
    : facts.usesAsync
      ? { slim: false as const, reason: 'the component uses async functions, streams or futures' }
      : slimGlue(transpiled.glue)
  const whole = { source: slimmed.slim ? slimmed.source : transpiled.glue, modules: transpiled.modules }
  const { source, modules } = (slimmed.slim && bypassShim(whole.source, whole.modules)) || whole
  const glue = slimmed.slim ? { slim: true as const } : { slim: false as const, reason: slimmed.reason }
  try {
    return { script: glueToScript(source), glue, modules }
  } catch (cause) {
    throw new HeraldError(
      'ERR_COMPONENT_INVALID',
      `component ${job.component}: one of its names clashes with names of the generated glue: ${oneLine(cause)}`,
      { hint: 'give the function, parameter or resource that the message names another name', cause },
    )
  }
}

function untranspiled(reason: string): Artifact {
  return { script: '', glue: { slim: false, reason }, modules: new Map() }
}

async function compileModule(component: string, bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes)
  } catch (cause) {
    throw new HeraldError('ERR_COMPONENT_INVALID', `component ${component}: ${oneLine(cause)}`, {
      hint: 'the component uses a WebAssembly feature that this host does not have, or it is damaged',
      cause,
    })
  }
}

function oneLine(cause: unknown): string {
  const payload = (cause as { payload?: unknown } | null)?.payload
  const text = typeof payload === 'string' ? payload : cause instanceof Error ? cause.message : String(cause)
  return text.replace(/\s+/g, ' ').slice(0, 300)
}
