/**
 * Every coded error Herald reports: what the code means and the process exit code the `herald` command ends with
 * when the error reaches the top. Codes are stable; `docs/errors.md` is generated from this table.
 *
 * Exit codes: 1 operation failed · 2 bad usage or input · 3 identity refused · 4 peer not reachable · 5 component failed.
 */
export const errorCodes = {
  ERR_INTERNAL: { exitCode: 1, meaning: 'A defect in Herald itself. Please report it with the log.' },
  ERR_USAGE: { exitCode: 2, meaning: 'The command line cannot be understood.' },

  // manifest
  ERR_MANIFEST_INVALID: {
    exitCode: 2,
    meaning: 'A manifest does not follow the schema; every fault is named with line, column and key.',
  },
  ERR_MANIFEST_NOT_FOUND: { exitCode: 2, meaning: 'A manifest, or the component it should describe, cannot be read.' },
  ERR_MANIFEST_UNSUPPORTED: { exitCode: 2, meaning: 'A manifest uses a valid field that this host cannot honour.' },
  ERR_IMAGE_INVALID: { exitCode: 2, meaning: 'An image reference is neither file://PATH nor a registry reference.' },
  ERR_IMAGE_NOT_FOUND: { exitCode: 2, meaning: 'The file of a file:// image is not there or cannot be read.' },
  ERR_IMAGE_TOO_LARGE: { exitCode: 2, meaning: 'A component is larger than the host accepts.' },
  ERR_IMAGE_PULL_UNSUPPORTED: {
    exitCode: 2,
    meaning: 'The image stands in a registry, and this host cannot pull from registries.',
  },

  // host
  ERR_WORKLOAD_EXISTS: { exitCode: 2, meaning: 'A workload with this id runs already.' },
  ERR_WORKLOAD_NOT_FOUND: { exitCode: 2, meaning: 'No workload has this id.' },
  ERR_WORKLOAD_NOT_PLACED_HERE: {
    exitCode: 2,
    meaning: 'The workload asks for a host with other labels, another environment or another id.',
  },
  ERR_WORKLOAD_IMPORT_DENIED: {
    exitCode: 3,
    meaning: 'A component imports an interface of the host that its workload does not list in hostInterfaces.',
  },
  ERR_WORKLOAD_HTTP_AMBIGUOUS: {
    exitCode: 2,
    meaning: 'More than one component could answer HTTP and the manifest does not say which.',
  },
  ERR_WORKLOAD_NOTHING_TO_RUN: {
    exitCode: 2,
    meaning:
      'A component exports neither wasi:http/incoming-handler nor wasi:cli/run, or a service does not export wasi:cli/run.',
  },
  ERR_WORKLOAD_VOLUME: {
    exitCode: 2,
    meaning: 'A volume cannot be mounted: not allowed, not there, or not a directory.',
  },
  ERR_WORKLOAD_EXITED: {
    exitCode: 5,
    meaning: 'A component that runs to completion ended with an exit code other than 0, or a service ended too often.',
  },
  ERR_WORKLOAD_CELL_FAILED: { exitCode: 5, meaning: 'The sandbox of a workload ended and could not be restarted.' },
  ERR_HOST_DRAINING: { exitCode: 1, meaning: 'The host is shutting down and takes no new workloads.' },
} as const satisfies Record<string, { exitCode: 1 | 2 | 3 | 4 | 5; meaning: string }>

export type ErrorCode = keyof typeof errorCodes
