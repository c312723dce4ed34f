/**
 * Every coded error Herald reports: what the code means and the process exit code the `herald` command ends with
 * when the error reaches the top. Codes are stable; `docs/errors.md` is generated from this table.
 *
 * Exit codes: 1 operation failed · 2 bad usage or input · 3 identity refused · 4 peer not reachable · 5 component failed.
 */
export const errorCodes = {
  ERR_INTERNAL: { exitCode: 1, meaning: 'A defect in Herald itself. Please report it with the log.' },
  ERR_USAGE: { exitCode: 2, meaning: 'The command line cannot be understood.' },
} as const satisfies Record<string, { exitCode: 1 | 2 | 3 | 4 | 5; meaning: string }>

export type ErrorCode = keyof typeof errorCodes
