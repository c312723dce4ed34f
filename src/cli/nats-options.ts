import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { NatsOptions } from '../config/contexts.ts'
import type { LatticeCredentials, LatticeTls } from '../lattice/nats-options.ts'
import { addNatsSvidOptions } from './nats-svid-options.ts'
import { collect } from './option-values.ts'

export type { NatsOptions }

/** `--nats-…`: how NATS is authenticated to, and its TLS. */
export function addNatsCredentialOptions(command: Command): Command {
  return command
    .option('--nats-creds <path>', 'a .creds file (user JWT and nkey seed); read again at every connect')
    .option('--nats-nkey <path>', 'a file with an nkey seed; read again at every connect')
    .option('--nats-token-file <path>', 'a file with a token; read again at every connect')
    .option('--nats-ca <path>', "PEM of the authorities to trust for NATS (default: the system's)")
    .option('--nats-cert <path>', 'PEM of the client certificate, for mutual TLS with NATS')
    .option('--nats-key <path>', 'PEM of its key')
    .option('--nats-tls-first', 'TLS before the greeting, for servers with handshake_first')
}

/** `--nats`, `--context` and the credentials, for commands that talk to the hosts of a lattice. */
export function addLatticeOptions(command: Command): Command {
  command
    .optionsGroup('Lattice:')
    .option(
      '--nats <url>',
      'NATS of the lattice; repeatable for the servers of a cluster (default: $HERALD_NATS_URL, else the context, else nats://127.0.0.1:4222)',
      collect,
    )
    .option('--context <name>', 'a context of herald config (default: $HERALD_CONTEXT, else the one in use)')
  return addNatsSvidOptions(addNatsCredentialOptions(command)).optionsGroup('Options:')
}

export function latticeCredentials({
  natsCreds,
  natsNkey,
  natsTokenFile,
}: NatsOptions): LatticeCredentials | undefined {
  if (natsCreds !== undefined) return { kind: 'creds-file', path: natsCreds }
  if (natsNkey !== undefined) return { kind: 'nkey-file', path: natsNkey }
  if (natsTokenFile === undefined) return undefined
  return { kind: 'token', token: () => readFileSync(natsTokenFile, 'utf8').trim() }
}

export function latticeTls({ natsCa, natsCert, natsKey, natsTlsFirst }: NatsOptions): LatticeTls | undefined {
  if (natsCa === undefined && natsCert === undefined && natsKey === undefined && natsTlsFirst !== true) return undefined
  return {
    ...(natsCa !== undefined && { caFile: natsCa }),
    ...(natsCert !== undefined && { certFile: natsCert }),
    ...(natsKey !== undefined && { keyFile: natsKey }),
    ...(natsTlsFirst === true && { handshakeFirst: true }),
  }
}
