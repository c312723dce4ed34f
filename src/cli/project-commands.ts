import { join, relative, resolve } from 'node:path'
import { Argument, type Command } from 'commander'
import { addCommonOptions, type CommonOptions } from './common-options.ts'
import type { CliEnvironment } from './environment.ts'
import { InterruptedError, listenForInterrupts } from './interrupts.ts'
import { printResult } from './output.ts'
import { bytesText } from './progress-line.ts'

/** `herald new` knows these; kept here so that help and completion need not load the rest. */
const languages = ['c', 'js', 'python', 'go'] as const

/** What comes before the first build. */
const prepare = {
  c: '',
  js: ' && npm install',
  python: ' && python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1',
  go: '',
} as const

export function addProjectCommands(program: Command, environment: CliEnvironment): void {
  const { cwd, stderr } = environment
  addCommonOptions(
    program
      .command('new')
      .summary('make a component project, with identity ready to use')
      .description(
        'Makes a folder with a component that says hello and answers with its own SPIFFE ID, its world with all WIT it needs, and a manifest. Then: herald build && herald dev.',
      )
      .addArgument(
        new Argument(
          '<language>',
          'what it takes to build: c clang and lld, js npm install, python componentize-py, go Go 1.24',
        ).choices(languages),
      )
      .argument('<name>', 'of the component, and of the folder: lower case words joined by -')
      .option('--to <directory>', 'the folder to make (default: NAME in this directory)'),
  ).action(async (language: (typeof languages)[number], name: string, options: CommonOptions & { to?: string }) => {
    const { newProject } = await import('./new-project.ts')
    const project = resolve(cwd, options.to ?? name)
    const files = await newProject(language, name, project)
    const shown = relative(cwd, project)
    printResult(environment, options.output, {
      value: { project, language, files },
      text: () =>
        `${files.map((file) => `  ${join(shown, file)}\n`).join('')}Next: cd ${shown}${prepare[language]} && herald build && herald dev\n`,
    })
  })

  addCommonOptions(
    program
      .command('build')
      .summary('build a component project')
      .description(
        'Builds the project of a directory by its language, into build/WORLD.wasm: C with clang and lld, JavaScript with esbuild and componentize-js of the project, Python with componentize-py, Go with Go 1.24 or later. A herald dev that runs it serves the new one at once.',
      )
      .argument('[directory]', 'the project', '.'),
  ).action(async (directory: string, options: CommonOptions) => {
    using interrupts = listenForInterrupts(() => {})
    const { signal } = interrupts
    const { buildProject } = await import('./build-project.ts')
    const startedMs = performance.now()
    const onProgress = options.output === 'text' ? (text: string) => void stderr.write(`${text}\n`) : () => {}
    const result = await buildProject(resolve(cwd, directory), { onProgress, signal }).catch((error: unknown) => {
      throw signal.aborted ? new InterruptedError() : error
    })
    const tookMs = Math.round(performance.now() - startedMs)
    printResult(environment, options.output, {
      value: { ...result, tookMs },
      text: () => `${relative(cwd, result.file)}  ${bytesText(result.sizeBytes)}  in ${tookMs} ms\n`,
    })
  })
}
