// The Dockerfile is not built here, but read: every instruction, stage and source in it.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')

type Instruction = { readonly name: string; readonly words: readonly string[]; readonly options: readonly string[] }

/** Instructions of a Dockerfile, in their order: comments left out, lines that end in a backslash joined. */
function instructionsOf(text: string): readonly Instruction[] {
  const lines = text.replace(/\\\n/g, ' ').split('\n')
  return lines.flatMap((line) => {
    const [name = '', ...rest] = line.trim().split(/\s+/)
    if (name === '' || name.startsWith('#')) return []
    const options = rest.filter((word) => word.startsWith('--') && name !== 'RUN')
    return [{ name, options, words: rest.filter((word) => !options.includes(word)) }]
  })
}

const instructions = instructionsOf(read('Dockerfile'))

test('every instruction of the Dockerfile is one of Docker’s, and the first stage begins before any of them needs it', () => {
  const known = /^(ARG|FROM|RUN|WORKDIR|COPY|ENV|USER|STOPSIGNAL|EXPOSE|ENTRYPOINT|CMD|LABEL)$/
  for (const { name } of instructions) assert.match(name, known)
  assert.match(instructions.find(({ name }) => name !== 'ARG')?.name ?? '', /^FROM$/)
})

test('the builder is pinned by the digest of its image, and nothing comes from any other', () => {
  const builder = instructions.find(({ name, words }) => name === 'ARG' && words[0]?.startsWith('BUILDER='))
  assert.match(builder?.words[0] ?? '', /^BUILDER=debian:bookworm-\d{8}-slim@sha256:[0-9a-f]{64}$/)
  const bases = instructions.flatMap(({ name, words }) => (name === 'FROM' ? [words[0]] : []))
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Docker's own syntax
  assert.deepEqual(bases, ['${BUILDER}', 'scratch'])
})

test('what is copied from a stage is copied from one above it, and what a stage copies of the repository is there', () => {
  const stages: string[] = []
  for (const { name, words, options } of instructions) {
    if (name === 'FROM' && words[1] === 'AS') stages.push(words[2] ?? '')
    if (name !== 'COPY') continue
    const from = options.find((option) => option.startsWith('--from='))?.slice('--from='.length)
    if (from !== undefined) assert.ok(stages.includes(from), `there is no stage ${from}`)
    else for (const source of words.slice(0, -1)) assert.ok(existsSync(join(root, source)), source)
  }
  assert.deepEqual(stages, ['build'])
})

test('the program that puts the files together is there, writes where the last stage copies from, and no file that it needs is left out of the context', () => {
  const run = instructions.find(({ name, words }) => name === 'RUN' && words.includes('scripts/image.ts'))
  assert.deepEqual(run?.words, ['node', 'scripts/bootstrap.mjs', 'scripts/image.ts', '--rootfs', '/rootfs'])
  const last = instructions.findLast(({ name }) => name === 'COPY')
  assert.deepEqual([last?.options, last?.words], [['--from=build'], ['/rootfs', '/']])
  const ignored = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '')
  const needed = globSync(
    ['package*.json', 'tsconfig*.json', 'LICENSE', 'scripts/**/*', 'src/**/*', 'proto/**/*', 'wit/**/*'],
    { cwd: root },
  )
  assert.ok(needed.length > 100)
  const missing = needed.filter((file) =>
    ignored.some((pattern) => matchesGlob(file, pattern) || matchesGlob(file, `${pattern}/**`)),
  )
  assert.deepEqual(missing, [])
})
