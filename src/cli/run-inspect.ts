import { resolve } from 'node:path'
import { systemClock } from '../clock/clock.ts'
import { createEngine } from '../engine/create-engine.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { createFileImageSource } from '../manifest/image-source.ts'
import { createLog } from '../observability/log.ts'
import { assessComponent } from './assess-component.ts'
import type { CommonOptions } from './common-options.ts'
import { describeAssessment } from './describe-assessment.ts'
import type { CliEnvironment } from './environment.ts'

export async function runInspect(
  file: string,
  { output }: CommonOptions,
  { cwd, stdout }: CliEnvironment,
): Promise<void> {
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
