import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { HeraldError } from '../errors/herald-error.ts'

const path = z.string().min(1)
const contextDocument = z.strictObject({
  nats: z.array(z.string().min(1)).min(1),
  natsCreds: path.optional(),
  natsNkey: path.optional(),
  natsTokenFile: path.optional(),
  natsCa: path.optional(),
  natsCert: path.optional(),
  natsKey: path.optional(),
  natsTlsFirst: z.boolean().optional(),
})
const contextsDocument = z.strictObject({
  current: z.string().optional(),
  contexts: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/), contextDocument).default({}),
})

/** Named ways to a lattice. They hold paths of credentials, never credentials. */
export type Contexts = {
  readonly current: string | undefined
  readonly contexts: Readonly<Record<string, LatticeContext>>
}
export type LatticeContext = NatsOptions & { readonly nats: readonly string[] }

/** How NATS is reached; credentials by path. */
export type NatsOptions = {
  readonly nats?: readonly string[]
  readonly natsCreds?: string
  readonly natsNkey?: string
  readonly natsTokenFile?: string
  readonly natsCa?: string
  readonly natsCert?: string
  readonly natsKey?: string
  readonly natsTlsFirst?: boolean
}

/** Empty when there is no such file. @throws ERR_CONTEXT_INVALID */
export async function readContexts(file: string): Promise<Contexts> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { current: undefined, contexts: {} }
    throw invalid(file, `cannot be read: ${(cause as NodeJS.ErrnoException).code}`, cause)
  }
  let value: unknown
  try {
    value = parse(text) ?? {}
  } catch (cause) {
    throw invalid(file, 'not YAML', cause)
  }
  const result = contextsDocument.safeParse(value)
  if (!result.success) {
    const [issue] = result.error.issues
    throw invalid(file, `${issue?.path.join('.') || 'the file'}: ${issue?.message}`)
  }
  const contexts: Record<string, LatticeContext> = {}
  for (const [name, context] of Object.entries(result.data.contexts)) contexts[name] = context as LatticeContext
  return { current: result.data.current, contexts }
}

/** Replaces the file in one step, readable by its owner only. */
export async function writeContexts(file: string, { current, contexts }: Contexts): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const temporary = `${file}.${process.pid}`
  await writeFile(temporary, stringify({ ...(current !== undefined && { current }), contexts }), { mode: 0o600 })
  await rename(temporary, file)
}

/** @throws ERR_CONTEXT_INVALID when there is none of the name */
export function contextNamed(name: string, { contexts }: Contexts): LatticeContext {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined
  if (found !== undefined) return found
  const known = Object.keys(contexts)
  throw new HeraldError('ERR_CONTEXT_INVALID', `there is no context ${name}`, {
    hint: known.length === 0 ? 'make one: herald config set NAME --nats URL' : `known: ${known.join(', ')}`,
  })
}

function invalid(file: string, what: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_CONTEXT_INVALID', what, { where: { file }, hint: 'correct or remove the file', cause })
}
