import { strictEqual } from 'node:assert'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { WasiDependencies } from '../../src/wasi/create-wasi.ts'
import { Guest } from './guest.ts'

/** A certificate for `secure.example.test`, made with the machine's openssl. */
function certificate(): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'herald-wasi-tls-'))
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const subject = ['-subj', '/CN=secure.example.test', '-addext', 'subjectAltName=DNS:secure.example.test']
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('over https the certificate must be trusted and made out to the name that was asked for', async () => {
  const { key, cert } = certificate()
  const server = createServer({ key, cert }, (request, response) => response.end(`for ${request.headers.host}`))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const send = async (host: string, ca: string | undefined): Promise<unknown> => {
    const dependencies: WasiDependencies = {
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
      ...(ca !== undefined && { ca }),
    }
    const options = { allowedHosts: [`https://*.example.test:${port}`], allowedHostLoopbackPorts: [String(port)] }
    using guest = await Guest.open(options, dependencies)
    return await guest.call(`
      const { Fields, OutgoingRequest } = wasi['wasi:http/types']
      const request = new OutgoingRequest(new Fields())
      request.setScheme({ tag: 'HTTPS' }); request.setAuthority('${host}:${port}')
      const future = wasi['wasi:http/outgoing-handler'].handle(request, undefined)
      future.subscribe().block()
      const result = future.get().val
      return result.tag === 'err' ? result.val.tag : text(result.val.consume().stream().blockingRead(100n))`)
  }

  try {
    strictEqual(await send('secure.example.test', cert), `for secure.example.test:${port}`)
    strictEqual(await send('other.example.test', cert), 'TLS-certificate-error')
    strictEqual(await send('secure.example.test', undefined), 'TLS-certificate-error')
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})
