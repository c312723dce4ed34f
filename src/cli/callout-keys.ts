import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { type NatsKey, type NatsKeyKind, parseNatsSeed } from '../lattice/nats-keys.ts'

/** Files of the callout service's directory, and the kind of seed in each. `system` is only there where it may end connections. */
export const calloutKeyFiles = {
  issuer: 'account',
  user: 'user',
  xkey: 'curve',
  system: 'user',
} as const satisfies Record<string, NatsKeyKind>
export type CalloutKeyName = keyof typeof calloutKeyFiles

export function calloutKeyPath(directory: string, name: CalloutKeyName): string {
  return join(directory, `${name}.nk`)
}

/** `undefined` when there is no such file. @throws ERR_NATS_KEY_INVALID */
export async function readCalloutKey(directory: string, name: CalloutKeyName): Promise<NatsKey | undefined> {
  const path = calloutKeyPath(directory, name)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new HeraldError('ERR_NATS_KEY_INVALID', `${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      hint: 'check its permissions',
    })
  }
  return parseNatsSeed(text, calloutKeyFiles[name], path)
}
