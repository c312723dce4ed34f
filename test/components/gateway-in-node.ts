import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { bundleJavaScript } from '../../scripts/components/build-javascript.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export type GatewayAnswer = {
  status: number
  headers: Record<string, string>
  body: string | AsyncIterable<Uint8Array>
}

export type Gateway = {
  answer(request: {
    method: string
    path: string
    query: string
    headers: Record<string, string>
    readBody(): string
  }): Promise<GatewayAnswer>
}

export type CreateGateway = (parts: {
  configuration: Record<string, unknown>
  getToken(audience: string): string | undefined
  now(): number
}) => Gateway

/** The api-gateway's routes, bundled exactly as for the component (AWS SDK for browsers, XML without DOM), run by Node instead. */
export async function loadGateway(): Promise<CreateGateway> {
  using directory = temporaryDirectory()
  const file = join(directory.path, 'gateway.mjs')
  await writeFile(file, await bundleJavaScript(root, 'api-gateway', 'src/gateway.js'))
  const module = (await import(pathToFileURL(file).href)) as { createGateway: CreateGateway }
  return module.createGateway
}

/** The component's own reading of its environment. */
export async function readConfiguration(environment: Record<string, string>): Promise<Record<string, unknown>> {
  const file = pathToFileURL(join(root, 'components', 'api-gateway', 'src', 'configuration.js')).href
  const module = (await import(file)) as { readConfiguration(from: Record<string, string>): Record<string, unknown> }
  return module.readConfiguration(environment)
}
