import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HeraldIdentityAuditSink } from '../../src/capabilities/herald-identity/herald-identity-audit.ts'
import { createHeraldIdentityCapability } from '../../src/capabilities/herald-identity/herald-identity-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createJwtVerifier, type JwtVerifier } from '../../src/identity/jwt-verifier.ts'
import { createSpireAuthority } from '../../src/identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../../src/identity/svid-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import { cellSpec, component, log, signal, testEngine } from '../engine/engine-fixture.ts'
import { guestInC } from '../engine/guests/build-guest.ts'
import type { Spire } from '../support/spire.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { componentFacts } from './component-facts-sample.ts'

/** `herald:identity` on a real SPIRE, asked by a guest in C. Disposal ends it. */
export interface IdentityProber extends AsyncDisposable {
  readonly authority: SvidAuthority
  readonly verifier: JwtVerifier
  /** Runs the guest as the component of that name. @returns its lines */
  ask(componentName: string, ...args: readonly string[]): Promise<readonly string[]>
}

export async function startIdentityProber(
  spire: Pick<Spire, 'adminSocketPath'>,
  audit: HeraldIdentityAuditSink = () => {},
): Promise<IdentityProber> {
  await using stack = new AsyncDisposableStack()
  const clock = systemClock
  const authority = stack.use(createSpireAuthority({ adminSocketPath: spire.adminSocketPath, log, clock }))
  const svids = stack.use(createSvidSource({ authority, clock, log }))
  const verifier = createJwtVerifier({ authority, clock })
  const capability = stack.use(createHeraldIdentityCapability({ svids, verifier, clock, log, audit }))
  const engine = stack.use(testEngine())
  const probe = await buildProbe()
  const owned = stack.move()
  return {
    authority,
    verifier,
    async ask(componentName, ...args) {
      const entry = {
        ...{ namespace: 'herald', package: 'identity', version: '0.1.0', name: undefined, config: {} },
        interfaces: ['component', 'verifier', 'x509'],
      }
      const binding = await capability.configure(componentFacts({ componentName }), [entry], { signal: signal() })
      const capabilityInterfaces = capability.interfaces
      const capabilityWaits = capability.waits
      const rest = { args, bindings: [binding], capabilityInterfaces, capabilityWaits }
      await using cell = await engine.startCell(cellSpec(component(probe, {}, rest)), { signal: signal() })
      const lines: string[] = []
      cell.onOutput(({ text }) => lines.push(text))
      assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode: 0 })
      return lines
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The probe against the WIT that Herald publishes. */
async function buildProbe(): Promise<Uint8Array> {
  using directory = temporaryDirectory()
  const published = readFileSync(join(import.meta.dirname, '../../wit/herald-identity/identity.wit'), 'utf8')
  const nested = published.replace('package herald:identity@0.1.0;', 'package herald:identity@0.1.0 {').concat('}\n')
  const world = `package test:probe;
world herald-identity-probe {
  import herald:identity/component@0.1.0;
  import herald:identity/verifier@0.1.0;
  import herald:identity/x509@0.1.0;
  import wasi:cli/environment@0.2.12;
  import wasi:cli/stdout@0.2.12;
  export wasi:cli/run@0.2.12;
}
`
  writeFileSync(join(directory.path, 'herald-identity-probe.wit'), `${world}\n${nested}`)
  copyFileSync(join(import.meta.dirname, 'herald-identity-probe.c'), join(directory.path, 'herald-identity-probe.c'))
  return await guestInC(directory.path, 'herald-identity-probe')
}
