import { randomUUID } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectoryFor } from '../../scripts/servers/build-server.ts'
import { withMachineLock } from '../../scripts/servers/machine-lock.ts'
import { lastLines, type RunResult, runProgram } from '../../scripts/servers/run-program.ts'
import { freePort } from '../support/free-port.ts'
import { socketListens } from '../support/reachable.ts'
import { startServerProcess } from '../support/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const pom = join(import.meta.dirname, '..', 'servers', 'kafka', 'pom.xml')

/** Kafka's command line tools that tests use, by the class that runs each. */
const tools = {
  'kafka-acls.sh': 'org.apache.kafka.tools.AclCommand',
  'kafka-console-producer.sh': 'org.apache.kafka.tools.ConsoleProducer',
  'kafka-console-consumer.sh': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
} as const

/** A real broker, alone, its controller in the same process. Disposal kills it and removes its data. */
export interface Kafka extends AsyncDisposable {
  /** Listener SASL_PLAINTEXT, for components. */
  readonly componentsAt: string
  /** Listener ADMIN, without authentication: whoever connects may do everything. */
  readonly adminAt: string
  /** Holds the tools as `kafka-….sh`: for PATH. */
  readonly binDirectory: string
  run(tool: keyof typeof tools, args: readonly string[], options?: ToolOptions): Promise<RunResult>
  logs(): string
}

export interface ToolOptions {
  /** What the tool reads. */
  readonly input?: string
  /** Options of its Java machine. */
  readonly javaOptions?: readonly string[]
}

export interface KafkaOptions {
  /** Lines for the broker's configuration, as `herald trust kafka` prints them. */
  readonly properties: string
  /** Options of the Java machine, such as the URLs that keys may be fetched from. */
  readonly javaOptions: readonly string[]
}

/** Starts Kafka; the first time it is fetched by Maven, then kept. @throws with the end of its log if it does not become ready. */
export async function startKafka({ properties, javaOptions }: KafkaOptions): Promise<Kafka> {
  const libraries = await keptLibraries()
  await using cleanup = new AsyncDisposableStack()
  const directory = cleanup.use(temporaryDirectory()).path
  const [components, admin, controller] = [await freePort(), await freePort(), await freePort()]
  const config = join(directory, 'broker.properties')
  writeFileSync(
    config,
    [
      'node.id=1',
      'process.roles=broker,controller',
      `listeners=SASL_PLAINTEXT://127.0.0.1:${components},ADMIN://127.0.0.1:${admin},CONTROLLER://127.0.0.1:${controller}`,
      'listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,ADMIN:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'inter.broker.listener.name=ADMIN',
      'controller.listener.names=CONTROLLER',
      `controller.quorum.voters=1@127.0.0.1:${controller}`,
      `log.dirs=${join(directory, 'data')}`,
      ...['offsets.topic.replication.factor=1', 'offsets.topic.num.partitions=1', 'group.initial.rebalance.delay.ms=0'],
      ...['transaction.state.log.replication.factor=1', 'transaction.state.log.min.isr=1'],
      'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users=User:ANONYMOUS',
      properties,
    ].join('\n'),
  )
  const log4j = join(directory, 'log4j2.yaml')
  writeFileSync(
    log4j,
    'Configuration: {Appenders: {Console: {name: out}}, Loggers: {Root: {level: error, AppenderRef: {ref: out}}}}\n',
  )
  const java = [
    ...['-Xms64m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', `-Dlog4j2.configurationFile=${log4j}`],
    ...['-cp', join(libraries, '*')],
  ]
  const formatted = await runProgram('java', [
    ...java,
    ...['kafka.tools.StorageTool', 'format', '-t', randomUUID(), '-c', config],
  ])
  if (formatted.exitCode !== 0) throw new Error(`Kafka's storage cannot be formatted\n${lastLines(formatted.output)}`)
  const server = cleanup.use(
    await startServerProcess({
      name: 'kafka',
      program: 'java',
      args: [...javaOptions, ...java, 'kafka.Kafka', config],
      isReady: async () => (await socketListens(components)) && (await socketListens(admin)),
    }),
  )
  const binDirectory = join(directory, 'bin')
  mkdirSync(binDirectory)
  for (const [name, main] of Object.entries(tools)) {
    const path = join(binDirectory, name)
    writeFileSync(
      path,
      `#!/bin/sh\nexec java -Xmx128m ${java
        .slice(2)
        .map((word) => `'${word}'`)
        .join(' ')} $KAFKA_OPTS ${main} "$@"\n`,
    )
    chmodSync(path, 0o755)
  }
  const owned = cleanup.move()
  return {
    componentsAt: `127.0.0.1:${components}`,
    adminAt: `127.0.0.1:${admin}`,
    binDirectory,
    async run(tool, args, { input = '', javaOptions: ofTool = [] } = {}) {
      const inputPath = join(directory, `${randomUUID()}.in`)
      writeFileSync(inputPath, input)
      return runProgram('sh', ['-c', 'exec "$0" "$@" < "$INPUT"', join(binDirectory, tool), ...args], {
        env: { ...process.env, INPUT: inputPath, KAFKA_OPTS: ofTool.join(' ') },
      })
    },
    logs: () => server.log.text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function keptLibraries(): Promise<string> {
  const version = /<artifactId>kafka_2\.13<\/artifactId>\s*<version>([\d.]+)</.exec(readFileSync(pom, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`${pom} names no version of kafka_2.13`)
  const cache = join(cacheDirectoryFor(process.env), 'servers')
  const kept = join(cache, `kafka-${version}`)
  return withMachineLock(kept, async () => {
    if (await stat(kept).catch(() => undefined)) return kept
    await mkdir(cache, { recursive: true })
    const scratch = await mkdtemp(join(cache, '.fetching-kafka-'))
    try {
      copyFileSync(pom, join(scratch, 'pom.xml'))
      const fetched = await runProgram(
        'mvn',
        [
          ...['-q', '-B', 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'],
          ...['-DincludeScope=runtime', `-DoutputDirectory=${join(scratch, 'libs')}`],
        ],
        { cwd: scratch },
      )
      if (fetched.exitCode !== 0) {
        const why = fetched.startError?.message ?? `exit code ${fetched.exitCode}`
        throw new Error(`Kafka cannot be had (${why}); it needs Java 17 and Maven\n${lastLines(fetched.output)}`)
      }
      await rename(join(scratch, 'libs'), kept)
      return kept
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  })
}
