import type { ComponentFacts } from '../identity/component-facts.ts'
import type { ComponentIdentity, SvidSource } from '../identity/svid-source.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'

/** One identity for each entry; none stays open when one of them cannot be. @throws like `SvidSource.open` */
export function openIdentities(
  svids: Pick<SvidSource, 'open'>,
  component: ComponentFacts,
  entries: readonly { readonly spiffeId: SpiffeId | undefined }[],
): readonly ComponentIdentity[] {
  const identities: ComponentIdentity[] = []
  try {
    for (const { spiffeId } of entries) identities.push(svids.open(component, { spiffeId }))
    return identities
  } catch (error) {
    for (const identity of identities) identity.release()
    throw error
  }
}
