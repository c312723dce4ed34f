import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import { sha256Hex, signAws } from '../../federation/aws-signature.ts'
import type { HeldCredentials } from '../credentials/held-credentials.ts'
import { type BlobContainer, BlobRefusal, type ContainerSource, maxListed } from './blob-container.ts'

export type S3Options = {
  /** `https://s3.eu-central-1.amazonaws.com`, or of what speaks the same protocol; buckets are the first part of the path. */
  readonly endpoint: URL
  readonly bucket: string
  readonly region: string
  /** Got with the identity of the component, and dropped with it. */
  readonly credentials: Pick<HeldCredentials, 'get'>
  readonly fetch: typeof globalThis.fetch
  readonly clock: Clock
}

const timeoutMs = 30_000
const noBytes = new Uint8Array(0)

/** Containers are prefixes in one bucket; an empty object of the prefix's own name says that the container is there. */
export function s3Containers(options: S3Options): ContainerSource {
  const client = new S3Client(options)
  const open = async (name: string): Promise<BlobContainer | undefined> => {
    const marker = await client.head(`${name}/`)
    return marker && new S3Container(client, `${name}/`, marker.createdAtMs)
  }
  return {
    open,
    async create(name) {
      if ((await client.head(`${name}/`)) === undefined) await client.send('PUT', `${name}/`, { body: noBytes })
      return new S3Container(client, `${name}/`, options.clock.nowMs())
    },
    async remove(name) {
      for (const key of await client.list(`${name}/`)) await client.send('DELETE', key)
      await client.send('DELETE', `${name}/`)
    },
    async [Symbol.asyncDispose]() {},
  }
}

class S3Container implements BlobContainer {
  readonly createdAtMs: number
  readonly #client: S3Client
  readonly #prefix: string

  constructor(client: S3Client, prefix: string, createdAtMs: number) {
    this.#client = client
    this.#prefix = prefix
    this.createdAtMs = createdAtMs
  }

  async read(name: string, { start, end, maxBytes }: { start: number; end: number; maxBytes: number }) {
    const info = await this.#client.head(this.#prefix + name)
    if (info === undefined) return undefined
    const to = Math.min(end, info.size)
    if (start >= to) return noBytes
    if (to - start > maxBytes)
      throw new BlobRefusal(`more than ${maxBytes} bytes cannot be read at once: read it in parts`)
    const headers = { range: `bytes=${start}-${to - 1}` }
    const response = await this.#client.send('GET', this.#prefix + name, { headers, missing: true })
    if (response === undefined) return undefined
    // The store may have answered with more than was asked for.
    return response.subarray(0, to - start)
  }

  async write(name: string, bytes: Uint8Array) {
    await this.#client.send('PUT', this.#prefix + name, { body: bytes })
  }

  info(name: string) {
    return this.#client.head(this.#prefix + name)
  }

  async delete(name: string) {
    await this.#client.send('DELETE', this.#prefix + name)
  }

  async list() {
    const keys = await this.#client.list(this.#prefix)
    return keys.map((key) => key.slice(this.#prefix.length)).filter((name) => name !== '')
  }
}

type Send = { readonly body?: Uint8Array; readonly headers?: Record<string, string>; readonly missing?: boolean }

class S3Client {
  readonly #options: S3Options

  constructor(options: S3Options) {
    this.#options = options
  }

  async head(key: string): Promise<{ size: number; createdAtMs: number } | undefined> {
    const response = await this.#fetch('HEAD', this.#url(key), {})
    if (response.status === 404) return undefined
    if (!response.ok) throw await refusedBy(response)
    const modified = Date.parse(response.headers.get('last-modified') ?? '')
    return {
      size: Number(response.headers.get('content-length') ?? 0),
      createdAtMs: Number.isNaN(modified) ? 0 : modified,
    }
  }

  /** @returns the body; `undefined` when it is not there and `missing` is allowed */
  async send(method: string, key: string, options: Send = {}): Promise<Uint8Array | undefined> {
    const response = await this.#fetch(method, this.#url(key), options)
    if (response.status === 404 && options.missing) {
      await response.body?.cancel()
      return undefined
    }
    if (!response.ok) throw await refusedBy(response)
    return new Uint8Array(await response.arrayBuffer())
  }

  async list(prefix: string): Promise<string[]> {
    const keys: string[] = []
    let token: string | undefined
    do {
      const url = new URL(this.#url(''))
      url.search = new URLSearchParams({
        'list-type': '2',
        'encoding-type': 'url',
        prefix,
        ...(token !== undefined && { 'continuation-token': token }),
      })
        .toString()
        .replaceAll('+', '%20')
      const response = await this.#fetch('GET', url, {})
      if (!response.ok) throw await refusedBy(response)
      const text = await response.text()
      for (const [, key = ''] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) {
        keys.push(decodeURIComponent(fromXml(key).replaceAll('+', ' ')))
      }
      if (keys.length > maxListed) throw new BlobRefusal(`more than ${maxListed} objects cannot be listed`)
      const next = /<NextContinuationToken>([^<]+)<\/NextContinuationToken>/.exec(text)?.[1]
      token = next === undefined ? undefined : fromXml(next)
    } while (token !== undefined)
    return keys
  }

  #url(key: string): URL {
    const { endpoint, bucket } = this.#options
    const path = key.split('/').map(encodeSegment).join('/')
    return new URL(`${endpoint.origin}/${bucket}/${path}`)
  }

  async #fetch(method: string, url: URL, { body, headers = {} }: Send): Promise<Response> {
    const { credentials, fetch, region, clock } = this.#options
    const signal = AbortSignal.timeout(timeoutMs)
    const secret = (await credentials.get(signal)).credentials.reveal()
    if (secret.kind !== 'aws') throw new TypeError('S3 needs AWS credentials')
    const bodySha256 = sha256Hex(body ?? noBytes)
    const signed = signAws({ method, url, headers, bodySha256 }, secret, {
      region,
      service: 's3',
      nowMs: clock.nowMs(),
    })
    try {
      return await fetch(url, {
        method,
        headers: { ...headers, ...signed },
        redirect: 'error',
        signal,
        ...(body !== undefined && { body: body as Uint8Array<ArrayBuffer> }),
      })
    } catch (cause) {
      throw new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the object store at ${url.host} cannot be reached`, {
        hint: 'check endpoint in the workload’s hostInterfaces entry of wasi:blobstore',
        cause,
      })
    }
  }
}

/** As S3 encodes paths: everything but `A-Za-z0-9-._~`; dots alone would be taken for "here" and "above". */
function encodeSegment(segment: string): string {
  if (segment === '.' || segment === '..')
    throw new BlobRefusal('a name cannot have "." or ".." between slashes in this store')
  return encodeURIComponent(segment).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function fromXml(text: string): string {
  return text.replace(
    /&(lt|gt|quot|apos|amp);/g,
    (_, name: string) => ({ lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' })[name] ?? '',
  )
}

/** The store's own code and nothing else of its answer. */
async function refusedBy(response: Response): Promise<HeraldError> {
  const text = (await response.text().catch(() => '')).slice(0, 4096)
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1] ?? 'no code'
  return new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the object store answered ${response.status} (${code})`, {
    hint: 'check what the role may do: herald trust aws',
  })
}
