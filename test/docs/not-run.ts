import type { DocumentCommand } from './document-commands.ts'

/** Commands of the documentation that no test runs as they stand there, each with the reason, and what is tested in their place. */
type NotRun = {
  readonly program: string
  /** Of its words, joined by blanks; absent: whatever follows. */
  readonly pattern?: RegExp
  readonly because: string
}

export const notRun: readonly NotRun[] = [
  {
    program: 'herald',
    pattern: /^(dev|up|console|audit|host(?! drain))\b/,
    because:
      'serves or follows until it is ended: test/cli, test/lattice-cli, test/console start it; here it is parsed',
  },
  {
    program: 'herald',
    pattern: /^call\b/,
    because: 'calls a function of a workload: test/calls/call-command does the same; here it is parsed',
  },
  {
    program: 'herald',
    pattern: /^build\b/,
    because: 'needs the compiler and packages of a new project: test/lattice-cli/new-and-build; here it is parsed',
  },
  {
    program: 'herald',
    pattern: /^identity explain\b/,
    because: 'asks SPIRE or a herald dev: test/federation/identity-explain, test/docs/quick-start; here it is parsed',
  },
  {
    program: 'herald',
    pattern: /^identity token\b(?!.*--ephemeral)/,
    because: 'asks a herald dev: test/cli/serving, test/docs/quick-start; here it is parsed',
  },
  {
    program: 'herald',
    pattern: /^nats-callout serve\b/,
    because: 'serves until it is ended: test/callout starts it; here it is parsed',
  },
  {
    program: 'curl',
    pattern: /traceparent: /,
    because: 'asks a herald dev: test/observability/otlp does, and finds the spans of the page',
  },
  { program: 'npm', pattern: /^(ci|install|link)\b/, because: "installs what this test runs on; CI's own first step" },
  { program: 'npm', pattern: /^test\b/, because: 'is this test run' },
  {
    program: 'npm',
    pattern: /^run (-s )?(build:components|image)\b/,
    because:
      'takes minutes: this run builds the components first, test/charts/image-and-host the image, and pushes it to a real registry',
  },
  {
    program: 'helm',
    pattern: /^dependency build\b/,
    because:
      'needs the chart repositories of NATS and wasmCloud, which test machines do not reach: stand-ins are put where it would put them (test/charts/stand-ins)',
  },
  {
    program: 'helm',
    pattern: /^test\b/,
    because:
      'needs a kubelet to run its job: test/charts/image-and-host runs that job as a process, exactly as it is rendered',
  },
  ...[
    ['aws', 'an AWS account: the trust policy is evaluated as IAM does in test/federation/trust-applied'],
    ['az', 'an Entra tenant: test/federation/exchange-contract has a stand-in for its token endpoint'],
    ['gcloud', 'a Google Cloud project: test/federation/exchange-contract has a stand-in for its STS'],
    ['kafka-acls.sh', 'a Kafka: test/federation/trust-kafka does the same on a real one'],
    ['kcadm.sh', 'a Keycloak: test/federation/trust-keycloak sends the same files to a real one'],
    ['mc', "MinIO's client: test/federation/trust-applied gives the same policy to a real MinIO"],
    [
      'vault',
      'a CLI that cannot be built here: test/federation/trust-vault makes its requests of the core of a real Vault',
    ],
  ].map(([program = '', what = '']) => ({
    program,
    because: `needs ${what}. Here a stand-in takes the call, and the files it names must be there and well-formed`,
  })),
]

/** Why a command is not run as it stands, or undefined when it is. */
export function reasonNotRun({ program, words }: DocumentCommand): string | undefined {
  return notRun.find((each) => each.program === program && (each.pattern?.test(words.join(' ')) ?? true))?.because
}
