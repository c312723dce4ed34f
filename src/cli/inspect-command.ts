import { resolve } from 'node:path'
import type { Command } from 'commander'
import { systemClock } from '../clock/clock.ts'
import { createEngine } from '../engine/create-engine.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { createFileImageSource } from '../manifest/image-source.ts'
import { createLog } from '../observability/log.ts'
import { assessComponent } from './assess-component.ts'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import { describeAssessment } from './describe-assessment.ts'
import type { CliEnvironment } from './environment.ts'

export function addInspectCommand(program: Command, environment: CliEnvironment): void {
  const command = program
    .command('inspect')
    .summary('what a component imports and exports, and whether this host runs it')
    .description(
      'Reads a component without running it: its imports and exports, which of them this host serves, what it refuses and why.',
    )
    .argument('<file>', 'a .wasm component')
    .addHelpText(
      'after',
      `
Examples:
  herald inspect build/api.wasm
  herald inspect build/api.wasm --output json | jq .refusals

Exit codes: 0 this host runs it · 2 it does not (the reasons are printed), or it is no component`,
    )
  addCommonOptions(command).action((file: string, options: CommonOptions) => runInspect(file, options, environment))
}

async function runInspect(file: string, { output }: CommonOptions, { cwd, stdout }: CliEnvironment): Promise<void> {
  const signal = new AbortController().signal
  const image = await createFileImageSource().fetch(
    { kind: 'file', reference: file, path: resolve(cwd, file) },
    { signal },
  )
  await using engine = createEngine({ log: createLog({ level: 'silent' }), clock: systemClock })
  const description = await engine.inspect(image.bytes, { signal }).catch((cause: unknown) => {
    if (!isHeraldError(cause)) throw cause
    throw new HeraldError('ERR_COMPONENT_NOT_RUNNABLE', cause.message, {
      where: { file },
      ...(cause.hint !== undefined && { hint: cause.hint }),
      cause,
    })
  })
  const assessment = assessComponent(description)
  const { sha256, sizeBytes, minimumMemoryBytes } = description
  stdout.write(
    output === 'json'
      ? `${JSON.stringify({ file, sha256, sizeBytes, minimumMemoryBytes, ...assessment })}\n`
      : describeAssessment(file, description, assessment),
  )
  const [first] = assessment.refusals
  if (first === undefined) return
  throw new HeraldError(
    'ERR_COMPONENT_NOT_RUNNABLE',
    assessment.refusals.length === 1 ? first : `${assessment.refusals.length} reasons against running it, see above`,
    {
      where: { file },
      hint: 'build it for WASI 0.2 and for interfaces this host serves',
    },
  )
}
