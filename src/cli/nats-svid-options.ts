import type { Command } from 'commander'
import type { NatsOptions } from '../config/contexts.ts'
import { HeraldError } from '../errors/herald-error.ts'

/** How this process shows its own SVIDs to NATS. */
export type NatsSvidOptions = {
  readonly natsSvid?: true
  readonly natsAudience?: string
  readonly natsSvidTls?: true
  readonly natsServerId?: string
  readonly ownSpiffeId?: string
  readonly spireWorkloadSocket?: string
}

export const defaultNatsAudience = 'nats'

/** For a command that talks to a lattice as whoever SPIRE says that its process is. */
export function addNatsSvidOptions(command: Command): Command {
  return addNatsSvidTlsOptions(
    command
      .option('--nats-svid', "authenticate with this process's JWT-SVID, for a server with auth callout")
      .option('--nats-audience <audience>', 'audience of that JWT-SVID, as the callout wants it (default: nats)'),
  ).option('--spire-workload-socket <path>', 'Workload API that gives these SVIDs (default: $SPIFFE_ENDPOINT_SOCKET)')
}

/** For a command whose process has an entry of its own in SPIRE. */
export function addNatsSvidTlsOptions(command: Command): Command {
  return command
    .option(
      '--nats-svid-tls',
      "mutual TLS with NATS by this process's X.509-SVID, trusting the authorities of SPIFFE and no others",
    )
    .option(
      '--nats-server-id <id>',
      'SPIFFE ID that the NATS server must have (default: its certificate must name its host)',
    )
    .option('--own-spiffe-id <id>', 'which SPIFFE ID to be when several entries match this process')
}

/** Whether the options ask for the identity of this process at all. @throws ERR_USAGE for two identities at once */
export function usesOwnSvids(options: NatsSvidOptions & NatsOptions): boolean {
  const { natsSvid, natsSvidTls, natsServerId, natsAudience } = options
  const refuse = (what: string, hint: string): never => {
    throw new HeraldError('ERR_USAGE', what, { hint })
  }
  if (natsSvid && (options.natsCreds ?? options.natsNkey ?? options.natsTokenFile) !== undefined)
    refuse('NATS gets either the own SVID or credentials of a file', 'drop one of them')
  if (natsSvidTls && (options.natsCa ?? options.natsCert ?? options.natsKey) !== undefined)
    refuse('--nats-svid-tls brings certificate, key and authorities itself', 'drop --nats-ca, --nats-cert, --nats-key')
  if (natsServerId !== undefined && !natsSvidTls) refuse('--nats-server-id needs --nats-svid-tls', 'add it')
  if (natsAudience !== undefined && !natsSvid) refuse('--nats-audience needs --nats-svid', 'add it')
  return natsSvid === true || natsSvidTls === true
}
