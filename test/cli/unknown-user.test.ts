import assert from 'node:assert/strict'
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildComponents } from '../../scripts/build-components.ts'
import { httpCall } from '../support/http-call.ts'
import { startLog } from '../support/log.ts'
import { startServerProcess } from '../support/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const setpriv = '/usr/bin/setpriv'
const uid = 64_123

/** Whether anybody may read `path`, and enter every folder above it. */
function isOpen(path: string): boolean {
  accessSync(path, constants.R_OK)
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder))
    if ((statSync(folder).mode & 0o001) === 0) return false
  return true
}

const skip =
  process.getuid?.() !== 0 || !existsSync(setpriv)
    ? 'needs root and setpriv, to become another user'
    : !(isOpen(main) && isOpen(process.execPath)) && 'another user cannot read this folder'

test('a host runs as a user that the machine does not know, without HOME, and writes only where it was told to', {
  skip,
}, async () => {
  using directory = temporaryDirectory()
  chmodSync(directory.path, 0o755)
  const at = (name: string) => join(directory.path, name)
  for (const folder of ['tmp', 'cache']) {
    mkdirSync(at(folder))
    chmodSync(at(folder), 0o777)
  }
  copyFileSync((await buildComponents(['hello-c'])).get('hello-c')!, at('hello.wasm'))
  writeFileSync(
    at('hello.yaml'),
    `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: hello, namespace: team}
spec:
  template:
    spec:
      components: [{name: hello, image: "file://hello.wasm"}]
      hostInterfaces: [{namespace: wasi, package: http, interfaces: [incoming-handler], config: {host: hello.test}}]
`,
  )
  const log = startLog('herald host')
  const ready = () =>
    log
      .text()
      .split('\n')
      .find((line) => line.startsWith('{"event":"ready"'))
  await using host = await startServerProcess({
    name: 'herald host',
    program: setpriv,
    args: [
      ...['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all'],
      ...['env', '-i', `TMPDIR=${at('tmp')}`, process.execPath, '--disable-warning=ExperimentalWarning', main],
      ...['host', '-f', at('hello.yaml'), '--http', '127.0.0.1:0', '--output', 'json', '--image-cache', at('cache')],
      ...['--spire-admin-socket', at('no.sock')],
    ],
    cwd: directory.path,
    log,
    isReady: async () => ready() !== undefined,
  })
  const { http } = JSON.parse(ready()!)
  assert.equal((await httpCall(http, { host: 'hello.test' })).text, 'hello\n')
  await host.stop()
  assert.deepEqual(host.exit(), { code: 0, signal: null })
  assert.deepEqual(readdirSync(directory.path).sort(), ['cache', 'hello.wasm', 'hello.yaml', 'tmp'])
  assert.deepEqual(readdirSync(at('tmp')), [])
})
