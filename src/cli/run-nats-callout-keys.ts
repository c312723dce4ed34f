import { mkdir, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { createNatsSeed } from '../lattice/nats-keys.ts'
import { type CalloutKeyName, calloutKeyFiles, calloutKeyPath, readCalloutKey } from './callout-keys.ts'
import type { CliEnvironment } from './environment.ts'
import type { NatsCalloutKeysOptions } from './nats-callout-command.ts'

const authAccount = 'HERALD_AUTH'
/** To list connections and to end them, and nothing else of the system account. */
const systemPermissions =
  '{ publish: [ "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.*.KICK" ], subscribe: "_INBOX.>" }'

/** Makes what is missing, never replaces, and prints the configuration of the server. */
export async function runNatsCalloutKeys(
  given: string,
  { account: accounts, timeout, systemAccount, output }: NatsCalloutKeysOptions,
  { stdout, cwd }: CliEnvironment,
): Promise<void> {
  const directory = resolve(cwd, given)
  const wrong = [...accounts, ...(systemAccount === undefined ? [] : [systemAccount])].find(
    (name) => !/^[A-Za-z0-9_-]{1,64}$/.test(name) || name === authAccount,
  )
  if (wrong !== undefined) {
    throw new HeraldError('ERR_USAGE', `${JSON.stringify(wrong)} cannot be an account of clients`, {
      hint: `use letters, digits, - and _, and not ${authAccount}`,
    })
  }
  if (!/^\d{1,2}$/.test(timeout) || timeout === '0') {
    throw new HeraldError('ERR_USAGE', '--timeout is a number of seconds from 1 to 99')
  }
  const keys: Partial<Record<CalloutKeyName, string>> = {}
  for (const name of Object.keys(calloutKeyFiles) as CalloutKeyName[]) {
    if (name === 'system' && systemAccount === undefined) continue
    keys[name] = (await readCalloutKey(directory, name))?.publicKey ?? (await make(directory, name))
  }
  if (output === 'json') {
    stdout.write(`${JSON.stringify({ directory, accounts, ...keys })}\n`)
    return
  }
  stdout.write(`# For nats-server 2.10 and later; restart it: auth_callout cannot be reloaded. No seed is in here.
${systemAccount === undefined ? '' : `system_account: ${systemAccount}\n`}accounts {
  ${authAccount}: { users: [ { nkey: ${keys.user} } ] }
${systemAccount === undefined ? '' : `  ${systemAccount}: { users: [ { nkey: ${keys.system}, permissions: ${systemPermissions} } ] }\n`}${accounts.map((name) => `  ${name}: { jetstream: enabled }\n`).join('')}}
authorization {
  timeout: ${timeout}
  auth_callout {
    issuer: ${keys.issuer}
    account: ${authAccount}
    auth_users: [ ${[keys.user, keys.system].filter((key) => key !== undefined).join(', ')} ]
    xkey: ${keys.xkey}
  }
}
`)
}

async function make(directory: string, name: CalloutKeyName): Promise<string> {
  const { seed, publicKey } = createNatsSeed(calloutKeyFiles[name])
  const path = calloutKeyPath(directory, name)
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await writeFile(path, `${seed}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new HeraldError('ERR_NATS_KEY_INVALID', `${path} cannot be written: ${code}`, { hint: 'check its directory' })
  }
  return publicKey
}
