import { aws } from './relying-parties/aws.ts'
import { azure } from './relying-parties/azure.ts'
import { gcp } from './relying-parties/gcp.ts'
import { kafka } from './relying-parties/kafka.ts'
import { keycloak } from './relying-parties/keycloak.ts'
import { kubernetes } from './relying-parties/kubernetes.ts'
import { minio } from './relying-parties/minio.ts'
import { nats } from './relying-parties/nats.ts'
import { oidc } from './relying-parties/oidc.ts'
import { vault } from './relying-parties/vault.ts'
import type { RelyingParty, RelyingPartyKind } from './relying-party.ts'

export const relyingParties: Readonly<Record<RelyingPartyKind, RelyingParty>> = {
  aws,
  gcp,
  azure,
  vault,
  minio,
  keycloak,
  kafka,
  kubernetes,
  nats,
  oidc,
}
