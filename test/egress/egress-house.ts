import assert from 'node:assert/strict'
import type { EgressAuditEvent } from '../../src/capabilities/egress/egress-audit.ts'
import { createEgressCapability } from '../../src/capabilities/egress/egress-capability.ts'
import { systemClock } from '../../src/clock/clock.ts'
import type { SvidAuthority } from '../../src/identity/svid-authority.ts'
import { createSvidSource } from '../../src/identity/svid-source.ts'
import type { HostInterface } from '../../src/manifest/host-interface.ts'
import { cellSpec, component, log, signal, testEngine } from '../engine/engine-fixture.ts'
import { guestInC } from '../engine/guests/build-guest.ts'
import { componentFacts } from '../identity/component-facts-sample.ts'

export type ProbeRequest = {
  readonly method?: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** `*N`: N letters. */
  readonly body?: string
  readonly bodyWritten?: 'before' | 'after'
}

export type ProbeAnswer = {
  readonly status: number | undefined
  /** Case of `error-code`, by its place in the WIT. */
  readonly error: number | undefined
  readonly body: string
  /** Names of the fields that the guest sees in its request once it has been sent. */
  readonly sees: readonly string[]
}

/** `HTTP-request-denied` in `wasi:http/types#error-code`. */
export const requestDenied = 15
export const requestBodySize = 17

export interface EgressHouse extends AsyncDisposable {
  readonly events: readonly EgressAuditEvent[]
  /** Runs the probe, which imports no identity at all, in a real cell. */
  send(request: ProbeRequest, options?: { allowedHosts?: readonly string[] }): Promise<ProbeAnswer>
}

/** A component's outgoing requests in a real cell, signed as the entries say. Takes over the authority. */
export async function openEgressHouse(
  ownAuthority: SvidAuthority,
  entries: Readonly<Record<string, Readonly<Record<string, string>>>>,
  facts = componentFacts(),
): Promise<EgressHouse> {
  const clock = systemClock
  await using stack = new AsyncDisposableStack()
  const authority = stack.use(ownAuthority)
  const svids = stack.use(createSvidSource({ authority, clock, log }))
  const events: EgressAuditEvent[] = []
  const capability = stack.use(
    createEgressCapability({
      svids,
      fetch,
      loopbackEndpoints: true,
      x509BundleOf: authority.x509Bundle?.bind(authority),
      clock,
      log,
      audit: (event) => events.push(event),
      gatherMs: 100,
    }),
  )
  await capability.start({ signal: signal() })
  const engine = stack.use(testEngine())
  const probe = await guestInC(import.meta.dirname, 'request-probe')
  const listed = Object.entries(entries).map(
    ([name, config]): HostInterface => ({
      namespace: 'herald',
      package: 'egress',
      version: '0.1.0',
      interfaces: ['signing'],
      name,
      config,
    }),
  )
  const owned = stack.move()
  return {
    events,
    async send({ method = 'GET', url, headers = {}, body, bodyWritten = 'before' }, { allowedHosts } = {}) {
      const { protocol, host, pathname, search, origin } = new URL(url)
      const binding = await capability.configure(facts, listed, { signal: signal() })
      const guest = component(
        probe,
        {},
        {
          args: [
            ...[method, protocol.slice(0, -1), host, `${pathname}${search}`, body ?? '-', bodyWritten],
            ...Object.entries(headers).flat(),
          ],
          allowedHosts: allowedHosts ?? [origin],
          bindings: [binding],
        },
      )
      await using cell = await engine.startCell(cellSpec(guest), { signal: signal() })
      const lines: string[] = []
      cell.onOutput(({ text }) => lines.push(text))
      assert.deepEqual(await cell.run('guest', { signal: signal() }), { exitCode: 0 })
      const text = lines.join('\n')
      const numberAfter = (word: string): number | undefined => {
        const found = new RegExp(`^${word} (\\d+)`, 'm').exec(text)
        return found === null ? undefined : Number(found[1])
      }
      return {
        status: numberAfter('status'),
        error: numberAfter('error'),
        body: /^body ([\s\S]*)\nsees/m.exec(text)?.[1] ?? '',
        sees: (/^sees ?(.*)$/m.exec(text)?.[1] ?? '').split(' ').filter((name) => name !== ''),
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
