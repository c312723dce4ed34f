import type { Clock } from '../../clock/clock.ts'
import { HeraldError } from '../../errors/herald-error.ts'
import { sha256Hex, signAws } from '../../federation/aws-signature.ts'
import type { HeldCredentials } from '../credentials/held-credentials.ts'
import {
  type BlobContainer,
  type BlobReading,
  BlobRefusal,
  type ContainerSource,
  inPiecesOf,
  maxListed,
  type NextBytes,
  pieceBytes,
} from './blob-container.ts'

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

  read(name: string, range: { start: number; end: number }) {
    return this.#client.read(this.#prefix + name, range)
  }

  write(name: string, next: NextBytes) {
    return this.#client.write(this.#prefix + name, next)
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

type Send = {
  readonly body?: Uint8Array
  readonly headers?: Record<string, string>
  readonly search?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** Of an object that is larger, each part is sent by itself. S3 wants 5 MiB at least, and 10,000 parts at most. */
const partBytes = 5 * 2 ** 20

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

  async send(method: string, key: string, options: Send = {}): Promise<{ text: string; etag: string }> {
    const response = await this.#fetch(method, this.#url(key, options.search), options)
    if (!response.ok) throw await refusedBy(response)
    return { text: await response.text(), etag: response.headers.get('etag') ?? '' }
  }

  async read(key: string, range: { start: number; end: number }): Promise<BlobReading | undefined> {
    const idle = new IdleLimit(timeoutMs)
    const whole = range.start === 0 && range.end >= Number.MAX_SAFE_INTEGER
    const headers: Record<string, string> = whole
      ? {}
      : { range: `bytes=${range.start}-${Math.max(range.start, range.end - 1)}` }
    const response = await idle.within(this.#fetch('GET', this.#url(key), { headers, signal: idle.signal }))
    if (response.status === 404 || response.status === 416 || range.end <= range.start) {
      await response.body?.cancel()
      // Nothing of the object lies there.
      return response.status === 404 ? undefined : { size: 0, next: async () => undefined, close: async () => {} }
    }
    if (!response.ok) throw await refusedBy(response)
    const size = Number(response.headers.get('content-length') ?? Number.NaN)
    const body = response.body?.getReader()
    if (body === undefined || !Number.isSafeInteger(size) || (!whole && response.status !== 206)) {
      await body?.cancel()
      throw new HeraldError(
        'ERR_CAPABILITY_UNAVAILABLE',
        'the object store gives no parts of objects, or not their size',
      )
    }
    let left = size
    return {
      size,
      next: inPiecesOf(pieceBytes, async () => {
        const { value, done } = await idle.within(body.read()).catch((cause: unknown) => {
          throw this.#unreachable(cause)
        })
        if (done && left > 0) throw this.#unreachable(undefined)
        left -= value?.length ?? 0
        return done ? undefined : value
      }),
      close: () => body.cancel().catch(() => {}),
    }
  }

  /** In one piece while it is small, else as a multipart upload, which is given up when something fails. */
  async write(key: string, next: NextBytes): Promise<void> {
    const parts = inPiecesOf(partBytes, next)
    const first = (await parts()) ?? noBytes
    const second = first.length < partBytes ? undefined : await parts()
    if (second === undefined) {
      await this.send('PUT', key, { body: first })
      return
    }
    const { text } = await this.send('POST', key, { search: { uploads: '' } })
    const uploadId = fromXml(/<UploadId>([^<]+)<\/UploadId>/.exec(text)?.[1] ?? '')
    if (uploadId === '')
      throw new HeraldError('ERR_CAPABILITY_UNAVAILABLE', 'the object store began no multipart upload')
    try {
      const etags: string[] = []
      const upload = async (body: Uint8Array): Promise<void> => {
        const search = { partNumber: String(etags.length + 1), uploadId }
        etags.push((await this.send('PUT', key, { body, search })).etag)
      }
      await upload(first)
      for (let part: Uint8Array | undefined = second; part !== undefined; part = await parts()) await upload(part)
      const listed = etags.map(
        (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${toXml(etag)}</ETag></Part>`,
      )
      const body = Buffer.from(`<CompleteMultipartUpload>${listed.join('')}</CompleteMultipartUpload>`)
      const { text: completed } = await this.send('POST', key, { body, search: { uploadId } })
      // S3 may begin its answer with 200 and find the error later.
      const code = /<Error>.*?<Code>([A-Za-z]{1,64})<\/Code>/s.exec(completed)?.[1]
      if (code !== undefined)
        throw new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the object store did not complete an upload (${code})`)
    } catch (error) {
      await this.send('DELETE', key, { search: { uploadId } }).catch(() => {})
      throw error
    }
  }

  async list(prefix: string): Promise<string[]> {
    const keys: string[] = []
    let token: string | undefined
    do {
      const url = this.#url('', {
        'list-type': '2',
        'encoding-type': 'url',
        prefix,
        ...(token !== undefined && { 'continuation-token': token }),
      })
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

  #url(key: string, search: Readonly<Record<string, string>> = {}): URL {
    const { endpoint, bucket } = this.#options
    const path = key.split('/').map(encodeSegment).join('/')
    const url = new URL(`${endpoint.origin}/${bucket}/${path}`)
    url.search = new URLSearchParams(search).toString().replaceAll('+', '%20')
    return url
  }

  #unreachable(cause: unknown): HeraldError {
    const { host } = this.#options.endpoint
    return new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the object store at ${host} cannot be reached`, {
      hint: 'check endpoint in the workload’s hostInterfaces entry of wasi:blobstore',
      cause,
    })
  }

  async #fetch(
    method: string,
    url: URL,
    { body, headers = {}, signal = AbortSignal.timeout(timeoutMs) }: Send,
  ): Promise<Response> {
    const { credentials, fetch, region, clock } = this.#options
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
      throw this.#unreachable(cause)
    }
  }
}

/** Aborts when one step takes too long; between steps time does not count: a guest may take its own. */
class IdleLimit {
  readonly #controller = new AbortController()
  readonly #limitMs: number

  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  async within<T>(step: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#controller.abort(new Error('no answer in time')), this.#limitMs)
    try {
      return await step
    } finally {
      clearTimeout(timer)
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

function toXml(text: string): string {
  return text.replace(/[<>&]/g, (c) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;' })[c] ?? '')
}

/** The store's own code and nothing else of its answer. */
async function refusedBy(response: Response): Promise<HeraldError> {
  const text = (await response.text().catch(() => '')).slice(0, 4096)
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1] ?? 'no code'
  return new HeraldError('ERR_CAPABILITY_UNAVAILABLE', `the object store answered ${response.status} (${code})`, {
    hint: 'check what the role may do: herald trust aws',
  })
}
