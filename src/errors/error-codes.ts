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
  ERR_HOST_CONFIG_INVALID: {
    exitCode: 2,
    meaning: 'The file of settings of herald host cannot be used; every fault is named with line, column and key.',
  },
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
  ERR_WORKLOAD_LINK_AMBIGUOUS: {
    exitCode: 2,
    meaning:
      'Several components of a workload export what another one imports, or the one that hostInterfaces names does not.',
  },
  ERR_WORKLOAD_LINK_CYCLE: { exitCode: 2, meaning: 'Components of a workload import each other in a circle.' },
  ERR_WORKLOAD_LINK_TYPES: {
    exitCode: 2,
    meaning:
      'A component cannot call what another one exports: other types, other functions, or resources, streams, futures or async functions.',
  },
  ERR_WORKLOAD_HTTP_AMBIGUOUS: {
    exitCode: 2,
    meaning: 'More than one component could answer HTTP and the manifest does not say which.',
  },
  ERR_WORKLOAD_HTTP_HOST_TAKEN: {
    exitCode: 2,
    meaning: 'A workload of another namespace answers to the same HTTP host on this host.',
  },
  ERR_WORKLOAD_LISTEN_DENIED: {
    exitCode: 2,
    meaning: 'A workload asks for an address of its own for HTTP that the host does not allow.',
  },
  ERR_WORKLOAD_LISTEN_TAKEN: {
    exitCode: 2,
    meaning: 'Another workload of this host listens on the address that a workload asks for.',
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

  // engine
  ERR_COMPONENT_INVALID: {
    exitCode: 5,
    meaning: 'The file is not a component this host can read: empty, cut off, damaged, or a core module.',
  },
  ERR_COMPONENT_WASI_VERSION: {
    exitCode: 5,
    meaning: 'The component is built for a generation of WASI other than 0.2.',
  },
  ERR_COMPONENT_IMPORT_UNKNOWN: {
    exitCode: 5,
    meaning: 'The component imports an interface that this host does not serve.',
  },
  ERR_COMPONENT_MEMORY: {
    exitCode: 5,
    meaning: 'The component needs more linear memory at start than its limit allows.',
  },
  ERR_COMPONENT_NOT_RUNNABLE: {
    exitCode: 2,
    meaning: 'herald inspect found reasons why this host does not run the component.',
  },
  ERR_COMPONENT_EXPORT_MISSING: {
    exitCode: 5,
    meaning: 'The component does not export the interface it is asked for.',
  },
  ERR_COMPONENT_START: { exitCode: 5, meaning: 'The component failed while it was being instantiated.' },
  ERR_COMPONENT_TRAP: {
    exitCode: 5,
    meaning: 'The component trapped, or broke a rule of the component model, in a call.',
  },
  ERR_COMPONENT_HANDLES: {
    exitCode: 5,
    meaning:
      'The component held 4,096 handles of one resource type (fields, pollables, requests, streams) at a time, and asked for one more, or had 1,024 files, sockets and outgoing requests open: it drops too few.',
  },
  ERR_COMPONENT_DEADLINE: { exitCode: 5, meaning: 'A call of the component took longer than its deadline.' },
  ERR_COMPONENT_BUSY: { exitCode: 5, meaning: 'All instances of the component are busy and the queue is full.' },
  ERR_COMPONENT_CPU_LIMIT: {
    exitCode: 5,
    meaning:
      'The workload has used up its share of the processor (cpu-limit), and too many calls wait for it already, or would for more than 10 s.',
  },
  ERR_CELL_ENDED: {
    exitCode: 5,
    meaning:
      'The sandbox of a workload was ended: its guest did not yield, ran out of memory, or the workload was stopped.',
  },

  // health
  ERR_HEALTH_LISTEN: { exitCode: 4, meaning: 'The address for health and metrics cannot be listened on.' },

  // console
  ERR_CONSOLE_LISTEN: { exitCode: 4, meaning: 'The address for the console cannot be listened on.' },

  // ingress
  ERR_INGRESS_LISTEN: { exitCode: 4, meaning: 'The address for HTTP cannot be listened on.' },
  ERR_INGRESS_BAD_REQUEST: { exitCode: 2, meaning: 'An HTTP request is malformed, or does not name one host.' },
  ERR_INGRESS_NO_ROUTE: {
    exitCode: 2,
    meaning: 'No workload on this host serves the host that an HTTP request names.',
  },
  ERR_INGRESS_BODY_TOO_LARGE: {
    exitCode: 2,
    meaning: 'The body of an HTTP request is larger than the component accepts.',
  },
  ERR_INGRESS_RESPONSE_INVALID: {
    exitCode: 5,
    meaning: 'A component answered with a response that is not valid HTTP.',
  },

  // oci
  ERR_OCI_REFERENCE_INVALID: { exitCode: 2, meaning: 'A reference is not registry/repository[:tag][@digest].' },
  ERR_OCI_CREDENTIALS_INVALID: {
    exitCode: 2,
    meaning: 'The docker configuration file or a credential helper it names cannot be used.',
  },
  ERR_OCI_IDENTITY_INVALID: {
    exitCode: 2,
    meaning: 'How an SVID is shown to a registry (--registry-identity) cannot be read.',
  },
  ERR_OCI_TOKEN_SERVICE_UNKNOWN: {
    exitCode: 3,
    meaning:
      'A registry wants the host’s SVID sent to another token service, or for another service, than was configured.',
  },
  ERR_OCI_UNAUTHORIZED: { exitCode: 1, meaning: 'The registry wants credentials, or refused those it got (401).' },
  ERR_OCI_FORBIDDEN: { exitCode: 1, meaning: 'The registry knows the credentials but does not allow this (403).' },
  ERR_OCI_NOT_FOUND: { exitCode: 1, meaning: 'The registry has no such repository, tag, digest or layer (404).' },
  ERR_OCI_RATE_LIMITED: { exitCode: 1, meaning: 'The registry asks to come back later (429), after all retries.' },
  ERR_OCI_REGISTRY_FAILED: { exitCode: 1, meaning: 'The registry failed (5xx, or an answer outside the protocol).' },
  ERR_OCI_UNREACHABLE: { exitCode: 4, meaning: 'The registry cannot be reached, or stopped answering.' },
  ERR_OCI_TRUNCATED: { exitCode: 1, meaning: 'A manifest or layer ended early, after all attempts to resume it.' },
  ERR_OCI_DIGEST_MISMATCH: { exitCode: 1, meaning: 'Bytes of a registry do not have the digest they were asked by.' },
  ERR_OCI_TOO_LARGE: { exitCode: 1, meaning: 'A manifest or layer is larger than this host accepts.' },
  ERR_OCI_MANIFEST_INVALID: { exitCode: 1, meaning: 'A manifest cannot be read, or holds no proper digest.' },
  ERR_OCI_NOT_WASM: { exitCode: 1, meaning: 'An artifact holds no WebAssembly component, or more than one.' },
  ERR_OCI_CACHE_UNUSABLE: { exitCode: 2, meaning: 'The directory of the image cache cannot be made or used.' },
  ERR_OCI_NOT_CACHED: { exitCode: 1, meaning: 'The pull policy is Never and the image is not in the cache.' },
  ERR_OCI_REDIRECT_REFUSED: {
    exitCode: 1,
    meaning: 'A registry sent this host to an address that it does not follow (plain HTTP, local, or too many hops).',
  },
  ERR_OCI_PUSH_REFUSED: { exitCode: 1, meaning: 'The registry did not accept what was pushed.' },

  // lattice
  ERR_LATTICE_CONFIG: { exitCode: 2, meaning: 'The address or credentials of a NATS connection cannot be used.' },
  ERR_LATTICE_SUBJECT_INVALID: { exitCode: 2, meaning: 'A name cannot be one token of a NATS subject.' },
  ERR_LATTICE_UNREACHABLE: { exitCode: 4, meaning: 'NATS cannot be reached, or the connection is down just now.' },
  ERR_LATTICE_UNAUTHORIZED: { exitCode: 3, meaning: 'NATS refused the credentials, or a subject to this user.' },
  ERR_LATTICE_NO_RESPONDERS: { exitCode: 4, meaning: 'Nobody on the lattice listens to the subject of a request.' },
  ERR_LATTICE_TIMEOUT: { exitCode: 4, meaning: 'A request over the lattice was not answered in time.' },
  ERR_LATTICE_PAYLOAD_TOO_LARGE: { exitCode: 2, meaning: 'A message is larger than the NATS server accepts.' },
  ERR_LATTICE_STORAGE: {
    exitCode: 1,
    meaning: 'JetStream refuses to store, to find or to make something: limits, permissions or its configuration.',
  },
  ERR_LATTICE_CLOSED: { exitCode: 1, meaning: 'The connection to the lattice has been closed by this process.' },
  ERR_NATS_KEY_INVALID: {
    exitCode: 2,
    meaning: 'A file holds no nkey seed of the kind that is needed, or cannot be read or written.',
  },
  ERR_NATS_JWT_INVALID: { exitCode: 3, meaning: 'A question to the auth callout service is not of a NATS server.' },

  // callout
  ERR_CALLOUT_POLICY_INVALID: {
    exitCode: 2,
    meaning: 'The policy of the auth callout service cannot be used; the fault is named with line, column and key.',
  },
  ERR_CALLOUT_DENIED: {
    exitCode: 3,
    meaning: 'The policy of the auth callout service grants nothing to a client, or the client shows no SVID.',
  },

  // control
  ERR_CONTROL_MESSAGE_INVALID: {
    exitCode: 1,
    meaning: 'A message of the host protocol is not the ProtoJSON it should be; the field is named.',
  },
  ERR_CONTROL_IDENTITY_INVALID: {
    exitCode: 2,
    meaning: 'The id, friendly name or a label of the host is not one that upstream accepts.',
  },
  ERR_CONTROL_START_TIMEOUT: { exitCode: 1, meaning: 'A workload did not start within the time the operator waits.' },

  // the command over the lattice
  ERR_HOST_NOT_FOUND: { exitCode: 2, meaning: 'No Herald host on the lattice has this id or name, or several have.' },
  ERR_DEPLOY_NO_HOST: {
    exitCode: 4,
    meaning: 'No host on the lattice takes work and has the labels and the environment that a workload asks for.',
  },
  ERR_DEPLOY_FAILED: {
    exitCode: 5,
    meaning: 'A host was given a workload and could not run it; what ran before goes on.',
  },
  ERR_DEPLOY_NOT_OURS: {
    exitCode: 2,
    meaning: 'A workload came from the operator or from a manifest file of its host, which would bring it back.',
  },
  ERR_CALL_ARGUMENTS: {
    exitCode: 2,
    meaning: 'There is no such function to call, or its arguments are not of the types that the component has.',
  },
  ERR_CALL_RETURNED_ERR: { exitCode: 1, meaning: 'The function that herald call called returned its err.' },
  ERR_CALL_FAILED: { exitCode: 4, meaning: 'An HTTP request of herald call was not answered.' },
  ERR_CALLEE_NOT_PROVED: {
    exitCode: 3,
    meaning: 'Whoever answered a call of a component on NATS is not the callee, or could not prove it.',
  },
  ERR_CALL_STATUS: {
    exitCode: 1,
    meaning: 'An HTTP request of herald call was answered with a status of 400 or more.',
  },
  ERR_CONTEXT_INVALID: { exitCode: 2, meaning: 'The file of contexts cannot be read, or has no such context.' },
  ERR_BUILD_FAILED: { exitCode: 2, meaning: 'A project could not be built; the compiler said why.' },
  ERR_BUILD_TOOL_MISSING: { exitCode: 2, meaning: 'A program or package that a build needs is not installed.' },
  ERR_NATS_START: { exitCode: 4, meaning: 'The nats-server that herald up starts does not come up.' },
  ERR_PROGRAM_MISSING: { exitCode: 2, meaning: 'A program that a command starts is not on the path.' },

  // spiffe
  ERR_TRUST_DOMAIN_INVALID: { exitCode: 2, meaning: 'A text is no SPIFFE trust domain.' },
  ERR_SPIFFE_ID_INVALID: { exitCode: 2, meaning: 'A text is no SPIFFE ID.' },
  ERR_JWT_SVID_INVALID: { exitCode: 3, meaning: 'A token does not have the form of a JWT-SVID.' },
  ERR_JWT_SVID_EXPIRED: { exitCode: 3, meaning: 'A JWT-SVID is past its expiry.' },
  ERR_JWT_SVID_KEY_UNKNOWN: {
    exitCode: 3,
    meaning: 'A JWT-SVID is signed by a key that the bundle of its trust domain does not hold.',
  },
  ERR_X509_SVID_INVALID: { exitCode: 3, meaning: 'What the authority gave is not an X.509-SVID.' },
  ERR_X509_SVID_UNAVAILABLE: { exitCode: 3, meaning: 'The authority gives the component no valid X.509-SVID.' },
  ERR_X509_SVID_UNTRUSTED: {
    exitCode: 3,
    meaning: 'A certificate failed verification: expired, or no authority of its trust domain vouches for it.',
  },
  ERR_X509_BUNDLE_UNKNOWN: { exitCode: 3, meaning: 'The authority has no X.509 bundle of a trust domain.' },
  ERR_X509_BUNDLE_INVALID: { exitCode: 3, meaning: 'The X.509 bundle of a trust domain cannot be read.' },
  ERR_JWT_SVID_UNTRUSTED: {
    exitCode: 3,
    meaning: 'A JWT-SVID failed verification: wrong signature, audience or trust domain.',
  },
  ERR_JWT_BUNDLE_INVALID: { exitCode: 3, meaning: 'The JWT bundle of a trust domain cannot be read.' },
  ERR_JWT_BUNDLE_UNKNOWN: { exitCode: 3, meaning: 'The authority has no JWT bundle of a trust domain.' },

  // identity
  ERR_SELECTOR_FACT_INVALID: {
    exitCode: 2,
    meaning: 'A name, label or reference of a component cannot be made into a SPIRE selector.',
  },
  ERR_SPIRE_UNREACHABLE: { exitCode: 4, meaning: 'The SPIRE agent, or the server behind it, cannot be reached.' },
  ERR_SPIRE_ATTESTATION_FAILED: { exitCode: 4, meaning: 'The SPIRE agent could not attest this host process.' },
  ERR_SPIRE_WRONG_SOCKET: {
    exitCode: 2,
    meaning:
      'The socket is the other one of the SPIRE agent: its admin socket and its Workload API socket were confused.',
  },
  ERR_SPIRE_HOST_UNREGISTERED: { exitCode: 3, meaning: 'This host itself has no registration entry in SPIRE.' },
  ERR_SPIRE_DELEGATE_UNAUTHORIZED: {
    exitCode: 3,
    meaning: "The SPIFFE ID of this host is not among the SPIRE agent's authorized_delegates.",
  },
  ERR_SPIRE_NO_IDENTITY_ISSUED: { exitCode: 3, meaning: 'No registration entry matches the component.' },
  ERR_SPIRE_REQUEST_REFUSED: { exitCode: 1, meaning: 'SPIRE answered a request with an unexpected status.' },
  ERR_SVID_AMBIGUOUS: { exitCode: 3, meaning: 'Several SPIFFE IDs match the component and none is configured.' },
  ERR_SVID_SPIFFE_ID_NOT_ISSUED: {
    exitCode: 3,
    meaning: 'Entries match the component, but none has the SPIFFE ID that its workload configures.',
  },
  ERR_SVID_TIMEOUT: { exitCode: 4, meaning: 'The authority did not deliver a JWT-SVID in time; it may later.' },
  ERR_SVID_SOURCE_CLOSED: { exitCode: 1, meaning: 'The component, or the host, is going away.' },
  ERR_AUDIENCE_INVALID: { exitCode: 2, meaning: 'An audience is empty, too long or not well-formed text.' },
  ERR_AUDIENCE_NOT_ALLOWED: { exitCode: 3, meaning: "An audience is not on the workload's allow-list." },
  ERR_IDENTITY_NOT_REQUESTED: {
    exitCode: 2,
    meaning: 'A component imports wasmcloud:identity, but its workload does not list it in hostInterfaces.',
  },
  ERR_IDENTITY_CONFIG_INVALID: {
    exitCode: 2,
    meaning: 'The hostInterfaces entry of wasmcloud:identity has a wrong, unknown or missing key.',
  },
  ERR_DEVELOPMENT_IN_KUBERNETES: {
    exitCode: 2,
    meaning: 'The development authority refuses to run in Kubernetes: its identities prove nothing.',
  },
  ERR_DEVELOPMENT_LISTEN_FAILED: {
    exitCode: 4,
    meaning: 'The development authority cannot listen on its loopback address.',
  },
  ERR_DEVELOPMENT_NAME_UNUSABLE: {
    exitCode: 2,
    meaning: 'A lattice or component name cannot be part of a SPIFFE ID as it is written.',
  },

  // federation
  ERR_FEDERATION_TOKEN_INVALID: { exitCode: 2, meaning: 'What was given as a token is not a JWT.' },
  ERR_MEMORY_DIRECTORY: {
    exitCode: 2,
    meaning: 'Files of credentials are asked for, and the machine has no directory in memory for them.',
  },
  ERR_FEDERATION_BINDING_INVALID: {
    exitCode: 2,
    meaning: 'A credentials binding, or the input of a trust policy, lacks a setting or has one that cannot be right.',
  },
  ERR_FEDERATION_REFUSED: {
    exitCode: 3,
    meaning: 'A relying party refused the identity: it answered, and it said no.',
  },
  ERR_FEDERATION_UNAVAILABLE: {
    exitCode: 4,
    meaning: 'A relying party cannot be reached, is overloaded, or answered with a fault of its own.',
  },
  ERR_FEDERATION_ANSWER_INVALID: {
    exitCode: 1,
    meaning: 'A relying party answered with something that is not in its published format.',
  },

  // capabilities
  ERR_CAPABILITY_CONFIG: {
    exitCode: 2,
    meaning: 'A hostInterfaces entry has a setting that the capability does not know, or one that cannot be right.',
  },
  ERR_CAPABILITY_UNAVAILABLE: {
    exitCode: 4,
    meaning: 'What stands behind a capability (NATS, Redis, a directory, an object store) cannot be reached or failed.',
  },

  // wasi
  ERR_NETWORK_POLICY_INVALID: {
    exitCode: 2,
    meaning:
      'An entry of allowedHosts, allowedIpNameLookups, allowedHostLoopbackPorts or of the denied addresses cannot be read.',
  },
  ERR_PREOPEN_INVALID: {
    exitCode: 2,
    meaning: 'A directory to be mounted for a component is missing or is no directory.',
  },
} as const satisfies Record<string, { exitCode: 1 | 2 | 3 | 4 | 5; meaning: string }>

export type ErrorCode = keyof typeof errorCodes
