import type { CellCapability, CellChannel, InstanceContext } from '../../../src/capabilities/capability.ts'

class Thing {}

/**
 * The cell's side of a capability made for tests: `test:cap/calls` with functions that answer, wait, reject or never settle, and `test:cap/handles`
 * with a resource to be had at once and later.
 */
export function openCapability(config: unknown, channel: CellChannel): CellCapability {
  let pushed = 0
  channel.onMessage((message) => {
    pushed = message as number
  })
  return {
    prepare: ({ signal }: InstanceContext) => ({
      'test:cap/calls': {
        plain: () => (config as { plain: number }).plain,
        pushed: () => pushed,
        ask: async (method: string) => String(await channel.request(method, { from: 'guest' }, { signal })),
        number: () => channel.request('number', undefined, { signal }),
        fail: () => channel.request('fail', undefined, { signal }),
      },
      'test:cap/handles': { Thing, open: () => new Thing(), openLater: async () => new Thing() },
    }),
  }
}
