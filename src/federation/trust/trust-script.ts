import type { TrustPolicy } from './trust-builder.ts'

/** The policy as a shell script: it writes its files beside itself and runs the commands, and reads well. */
export function trustScript(policy: TrustPolicy): string {
  const steps = policy.steps.map((step) =>
    step.kind === 'command' ? step.command : `cat > ${step.path} <<'HERALD_END'\n${step.text}HERALD_END`,
  )
  return `${[...policy.notes.map((note) => `# ${note}`), ...steps].join('\n')}\n`
}
