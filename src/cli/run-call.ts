import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { hostname } from 'node:os'
import { HeraldError } from '../errors/herald-error.ts'
import { findWorkload, parseWorkloadName, withoutStopping } from './deployed-workloads.ts'
import type { CliEnvironment } from './environment.ts'
import { httpHostsOf } from './fleet-tables.ts'
import { nameOf } from './lattice-client.ts'
import { withLattice } from './lattice-command.ts'
import type { CallOptions } from './logs-command.ts'

type Destination = { readonly url: URL; readonly host: string | undefined }

export async function runCall(
  target: string,
  path: string,
  options: CallOptions,
  environment: CliEnvironment,
): Promise<void> {
  if (/^https?:\/\//.test(target)) {
    const url = URL.canParse(target) ? new URL(target) : undefined
    if (url === undefined) throw new HeraldError('ERR_USAGE', `${target} is no URL`)
    if (path !== '/') url.pathname = path
    return send({ url, host: undefined }, options, environment)
  }
  const wanted = parseWorkloadName(target)
  let destination: Destination | undefined
  await withLattice(options, environment, async (client) => {
    const replicas = withoutStopping(findWorkload(await client.fleet(), wanted))
    const serving = replicas.filter((replica) => httpHostsOf(replica).length > 0)
    const one = serving[Math.floor(Math.random() * serving.length)]
    if (one === undefined) {
      throw new HeraldError('ERR_WORKLOAD_NOT_FOUND', `${target} answers no HTTP`, {
        hint: `see: herald describe workload ${target}`,
      })
    }
    const [name] = httpHostsOf(one)
    const { heartbeat, url: ownUrl } = one.host
    const here = heartbeat.hostname === hostname()
    const base = here ? ownUrl : `http://${heartbeat.hostname}:${heartbeat.httpPort}`
    if (!URL.canParse(path, base)) throw new HeraldError('ERR_USAGE', `${path} is no path`)
    if (options.include) environment.stderr.write(`${nameOf(one.host)} at ${base}\n`)
    destination = { url: new URL(path, base), host: name === '*' ? undefined : name }
  })
  if (destination !== undefined) await send(destination, options, environment)
}

async function send(
  { url, host }: Destination,
  options: CallOptions,
  { stdout, stderr }: CliEnvironment,
): Promise<void> {
  const { data, header = {}, include } = options
  const method = options.method === '' ? (data === undefined ? 'GET' : 'POST') : options.method.toUpperCase()
  const headers = { ...(host !== undefined && { host }), ...header }
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const start = url.protocol === 'https:' ? requestTls : request
  const outgoing = start(url, { method, headers, timeout: 60_000 }, (response) => {
    const status = response.statusCode ?? 0
    if (include) {
      stderr.write(`${status} ${response.statusMessage ?? ''}\n`)
      for (const [name, value] of Object.entries(response.headers)) stderr.write(`${name}: ${value}\n`)
      stderr.write('\n')
    }
    response.setEncoding('utf8')
    response.on('data', (text: string) => void stdout.write(text))
    response.on('error', reject)
    response.on('end', () => resolve(status))
  })
  outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 60 s')))
  outgoing.on('error', reject)
  outgoing.end(data)
  const status = await promise.catch((cause: Error) => {
    throw new HeraldError('ERR_CALL_FAILED', `${url.origin} did not answer: ${cause.message}`, {
      hint: 'a host that serves on loopback (--http 127.0.0.1:8000) is reached from its own machine only',
      cause,
    })
  })
  if (status >= 400) throw new HeraldError('ERR_CALL_STATUS', `${method} ${url.pathname} was answered with ${status}`)
}
