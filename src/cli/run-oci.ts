import { readFile, rename, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { createLog } from '../observability/log.ts'
import type { OciClient } from '../oci/oci-client.ts'
import { type CliEnvironment, readRegistryEnvironment } from './environment.ts'
import { InterruptedError, listenForInterrupts } from './interrupts.ts'
import { lazyOwnSpiffe } from './lazy-own-spiffe.ts'
import type { OciOptions, OciPullOptions, OciPushOptions } from './oci-command.ts'
import { printResult } from './output.ts'
import { bytesText, progressLine } from './progress-line.ts'
import { openRegistryImages } from './registry-images.ts'
import { usesRegistryIdentity } from './registry-options.ts'
import { clean } from './table.ts'

export async function runOciPush(
  reference: string,
  file: string,
  options: OciPushOptions,
  environment: CliEnvironment,
): Promise<void> {
  const bytes = await readFile(resolve(environment.cwd, file)).catch((cause: NodeJS.ErrnoException) => {
    throw new HeraldError('ERR_IMAGE_NOT_FOUND', `cannot be read: ${cause.code}`, {
      where: { file },
      hint: 'name a .wasm component',
      cause,
    })
  })
  await withRegistry(options, environment, async (client, signal) => {
    const startedMs = performance.now()
    using progress = progressLine(reference, environment)
    const { manifestDigest, reference: pushed } = await client.push(reference, bytes, {
      signal,
      onProgress: ({ sentBytes, totalBytes }) => progress.update(sentBytes, totalBytes),
      ...(options.annotation && { annotations: options.annotation }),
    })
    progress[Symbol.dispose]()
    const name = `${pushed.registry}/${pushed.repository}`
    printResult(environment, options.output, {
      value: { reference, digest: manifestDigest, pinned: `${name}@${manifestDigest}`, sizeBytes: bytes.length },
      text: () =>
        `${reference}\n${name}@${manifestDigest}\n${bytesText(bytes.length)} in ${Math.round(performance.now() - startedMs)} ms\n`,
    })
  })
}

export async function runOciPull(
  reference: string,
  options: OciPullOptions,
  environment: CliEnvironment,
): Promise<void> {
  await withRegistry(options, environment, async (client, signal) => {
    using progress = progressLine(reference, environment)
    const pulled = await client.pull(reference, {
      signal,
      ...(options.always && { policy: 'always' }),
      onProgress: ({ receivedBytes, totalBytes }) => progress.update(receivedBytes, totalBytes),
    })
    const { repository } = pulled.reference
    const to = options.to ?? `${repository.slice(repository.lastIndexOf('/') + 1)}.wasm`
    const path = resolve(environment.cwd, to)
    // In one step, so that nobody runs half a component.
    await writeFile(`${path}.${process.pid}`, pulled.bytes)
    await rename(`${path}.${process.pid}`, path)
    progress[Symbol.dispose]()
    const { manifestDigest, fromCache } = pulled
    printResult(environment, options.output, {
      value: { reference, digest: manifestDigest, file: to, sizeBytes: pulled.bytes.length, fromCache },
      text: () =>
        `${to}  ${bytesText(pulled.bytes.length)}  ${manifestDigest}${fromCache ? '  (from the cache)' : ''}\n`,
    })
  })
}

export async function runOciInspect(
  reference: string,
  options: OciOptions,
  environment: CliEnvironment,
): Promise<void> {
  await withRegistry(options, environment, async (client, signal) => {
    const { manifestDigest, mediaType, layers, annotations, component } = await client.inspect(reference, { signal })
    printResult(environment, options.output, {
      value: { reference, digest: manifestDigest, mediaType, layers, annotations, component },
      text: () =>
        [
          `${reference}`,
          `digest  ${manifestDigest}`,
          `type    ${clean(mediaType)}`,
          ...layers.map(
            ({ digest, sizeBytes, mediaType: type }) => `layer   ${digest}  ${bytesText(sizeBytes)}  ${clean(type)}`,
          ),
          ...Object.entries(annotations).map(([key, value]) => `        ${clean(key)}: ${clean(value)}`),
          ...(component === undefined
            ? []
            : [
                'Whoever pushed it says of the component:',
                ...component.imports.map((name) => `  imports ${clean(name)}`),
                ...component.exports.map((name) => `  exports ${clean(name)}`),
              ]),
          '',
        ].join('\n'),
    })
  })
}

async function withRegistry(
  options: OciOptions,
  environment: CliEnvironment,
  run: (client: OciClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  using interrupts = listenForInterrupts(() => {})
  const { signal } = interrupts
  const log = createLog({ level: options.verbose ? 'debug' : 'silent', destination: environment.stderr })
  try {
    await using own = usesRegistryIdentity(options) ? await lazyOwnSpiffe(options, environment, log) : undefined
    const svids = own?.identity
    const { client } = await openRegistryImages(options, readRegistryEnvironment(), { log, signal, svids })
    await run(client, signal)
  } catch (error) {
    if (signal.aborted) throw new InterruptedError()
    throw error
  }
}
