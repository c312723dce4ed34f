import assert from 'node:assert/strict'
import type { TrustPolicy } from '../../src/federation/trust/trust-builder.ts'

/** The text of a file that `herald trust` prints. @throws if the policy has none of that path */
export function policyFile(policy: TrustPolicy, path: string): string {
  const step = policy.steps.find((candidate) => candidate.kind === 'file' && candidate.path === path)
  assert.ok(step?.kind === 'file', `the policy has a file ${path}`)
  return step.text
}
