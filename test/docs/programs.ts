/** Programs whose blocks shell-blocks.test.ts has sh run as they stand. */
export const programsOfShellBlocks: readonly string[] = ['helm', 'kubectl', 'spire-server', 'node']

/** Programs of others that are not here: those blocks run too, with a stand-in that notes how it is called (see not-run.ts). */
export const standInPrograms: readonly string[] = ['aws', 'az', 'gcloud', 'kafka-acls.sh', 'kcadm.sh', 'mc', 'vault']

/** Calls of herald that lattice-commands.test.ts runs, on a lattice of `herald up`. */
export const latticeCommands = /^(deploy|get|scale|logs|delete|host drain)\b/

/** What a shell itself brings. */
export const shellWords: readonly string[] = ['cat', 'cd', 'echo']
