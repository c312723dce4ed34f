import { styleText } from 'node:util'
import { yamlText } from '../config/yaml-text.ts'
import type { CliEnvironment, OutputStream } from './environment.ts'

/** YAML is made of the JSON on its way out: see {@link yamlStream}. */
export type OutputFormat = 'text' | 'wide' | 'json'

/** Prints a result once: as people read it, or as one line of JSON. */
export function printResult(
  { stdout }: Pick<CliEnvironment, 'stdout'>,
  output: OutputFormat,
  { value, text }: { value: unknown; text: () => string },
): void {
  if (output === 'json') stdout.write(`${JSON.stringify(value)}\n`)
  else stdout.write(text())
}

export type Tone = 'good' | 'bad' | 'busy' | 'quiet'

/** What is drawn is chosen by the stream it is drawn on: colour on a terminal only, and not with NO_COLOR. */
export type Style = { readonly width: number | undefined; tone(text: string, tone: Tone): string }

export function styleFor(stream: OutputStream, noColor: boolean): Style {
  const colored = stream.isTTY === true && !noColor
  return {
    width: stream.isTTY === true ? (stream.columns ?? 80) : undefined,
    tone: (text, tone) => (colored ? styleText(tones[tone], text, { validateStream: false }) : text),
  }
}

const tones = { good: 'green', bad: 'red', busy: 'yellow', quiet: 'dim' } as const

/** Of a workload's or host's state. */
export function toneOf(state: string): Tone {
  if (/^(running|completed|ready)/.test(state)) return 'good'
  return /^(error|not-found|lost)/.test(state) ? 'bad' : 'busy'
}

/** Takes lines of JSON, and writes each as a document of YAML once `convert` was called; anything else passes as it is. */
export function yamlStream(stream: OutputStream): OutputStream & { convert(): void } {
  let converting = false
  let documents = 0
  return {
    get isTTY() {
      return stream.isTTY ?? false
    },
    get columns() {
      return stream.columns ?? 80
    },
    convert: () => {
      converting = true
    },
    write: (text) =>
      stream.write(
        converting && text.startsWith('{') ? `${documents++ > 0 ? '---\n' : ''}${yamlText(JSON.parse(text))}` : text,
      ),
  }
}
