import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, type Option } from 'commander'
import { HeraldError } from '../errors/herald-error.ts'
import { ManifestError } from '../manifest/manifest-error.ts'
import { parseYamlDocuments, type YamlDocument } from '../manifest/yaml-documents.ts'
import type { CliEnvironment } from './environment.ts'
import { collect, collectPairs } from './option-values.ts'

const prefix = 'HERALD_HOST_'
const maxFileBytes = 1024 * 1024
/** How results are printed is a matter of the command line; and a file does not name the file. */
const onlyHere: readonly string[] = ['output', 'config']

/** What Kubernetes puts into the environment of every pod beside a Service called herald-host. */
const ofKubernetes = /^(SERVICE_(HOST|PORT)|PORT)(_|$)/

/** Of the options of `command`, those that can also stand in a file or a variable, by name: `drainTimeout`. */
export function settingsOf(command: Command): ReadonlyMap<string, Option> {
  return new Map(
    command.options
      .filter((option) => !onlyHere.includes(option.attributeName()))
      .map((option) => [option.attributeName(), option] as const),
  )
}

/** `drainTimeout` → `HERALD_HOST_DRAIN_TIMEOUT`. */
export function variableOf(setting: string): string {
  return prefix + setting.replace(/[A-Z]/g, '_$&').toUpperCase()
}

/**
 * Gives options that the command line does not: from variables, then those that SPIFFE and SPIRE name, then from the YAML file. What is there
 * already from a stronger source stays. @throws ManifestError of ERR_HOST_CONFIG_INVALID with file, line and key; ERR_USAGE for a variable
 */
export async function applyHostSettings(command: Command, environment: CliEnvironment): Promise<void> {
  const { hostVariables = {}, spireAdminSocket, spiffeEndpointSocket } = environment
  const settings = settingsOf(command)
  const open = (name: string): boolean => [undefined, 'default'].includes(command.getOptionValueSource(name))
  const byVariable = new Map([...settings].map(([name, option]) => [variableOf(name), { name, option }]))
  for (const [variable, text] of Object.entries(hostVariables)) {
    if (variable === variableOf('config') || ofKubernetes.test(variable.slice(prefix.length))) continue
    const found = byVariable.get(variable)
    if (found === undefined) {
      throw new HeraldError('ERR_USAGE', `herald host has no setting ${variable}`, {
        hint: `variables are ${prefix} and the name of an option in capitals, such as ${variableOf('drainTimeout')}`,
      })
    }
    if (!open(found.name)) continue
    try {
      command.setOptionValueWithSource(found.name, settingValue(found.option, fromText(found.option, text)), 'env')
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error
      throw new HeraldError('ERR_USAGE', `${variable} ${JSON.stringify(text)}: ${error.message}`, {
        hint: 'see: herald host --help',
      })
    }
  }
  for (const [name, text] of Object.entries({ spireAdminSocket, spireWorkloadSocket: spiffeEndpointSocket })) {
    if (text !== undefined && settings.has(name) && open(name)) command.setOptionValueWithSource(name, text, 'env')
  }
  const file: unknown = command.getOptionValue('config') ?? hostVariables[variableOf('config')]
  if (typeof file === 'string') await applyFile(file, command, settings, open, environment)
}

async function applyFile(
  file: string,
  command: Command,
  settings: ReadonlyMap<string, Option>,
  open: (name: string) => boolean,
  { cwd }: CliEnvironment,
): Promise<void> {
  const document = parse(await read(resolve(cwd, file), file), file)
  if (document === undefined) return
  const problems: HeraldError[] = []
  const refuse = (path: readonly [] | readonly [string], at: 'key' | 'value', message: string, hint: string): void =>
    void problems.push(new HeraldError('ERR_HOST_CONFIG_INVALID', message, { where: document.locate(path, at), hint }))
  const { value } = document
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse([], 'value', 'expected a mapping of settings', 'write it like: drainTimeout: 20s')
  } else {
    for (const [name, given] of Object.entries(value)) {
      const option = settings.get(name)
      if (option === undefined) {
        refuse([name], 'key', `unknown key ${JSON.stringify(name)}`, hintFor(name, settings))
        continue
      }
      try {
        const checked = settingValue(option, given)
        if (open(name)) command.setOptionValueWithSource(name, checked, 'config')
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error
        refuse([name], 'value', error.message, 'see: herald host --help')
      }
    }
  }
  const [first, ...others] = problems
  if (first !== undefined) throw new ManifestError(file, [first, ...others])
}

async function read(path: string, file: string): Promise<string> {
  const refused = (what: string, cause?: unknown) =>
    new HeraldError('ERR_HOST_CONFIG_INVALID', what, { where: { file }, hint: 'name a YAML file of settings', cause })
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw refused(`cannot be read: ${cause.code}`, cause)
  })
  if (bytes.length > maxFileBytes) throw refused(`more than ${maxFileBytes} bytes`)
  return bytes.toString('utf8')
}

function parse(text: string, file: string): YamlDocument | undefined {
  const parsed = parseYamlDocuments(text, file)
  const problems =
    'errors' in parsed
      ? parsed.errors.map(({ message, where }) => ({ message, where: where ?? { file } }))
      : parsed.documents.slice(1).map((extra) => ({
          message: 'a second document',
          where: extra.locate([], 'value'),
        }))
  const [first, ...others] = problems.map(
    ({ message, where }) => new HeraldError('ERR_HOST_CONFIG_INVALID', message, { where, hint: 'correct the YAML' }),
  )
  if (first !== undefined) throw new ManifestError(file, [first, ...others])
  return 'documents' in parsed ? parsed.documents[0] : undefined
}

/** A variable as a file would have it: lists and pairs are separated by white space. */
function fromText(option: Option, text: string): unknown {
  if (isFlag(option)) return text === 'true' ? true : text === 'false' ? false : text
  return isMany(option) ? text.split(/\s+/).filter((part) => part !== '') : text
}

/** @throws InvalidArgumentError */
function settingValue(option: Option, given: unknown): unknown {
  if (isFlag(option)) {
    if (typeof given !== 'boolean') throw new InvalidArgumentError('write true or false')
    // As the command line has it: a flag that is not set is not there.
    return given || option.negate ? given : undefined
  }
  if (!isMany(option)) return one(option, given, undefined)
  const parts =
    option.parseArg === collectPairs && typeof given === 'object' && given !== null && !Array.isArray(given)
      ? Object.entries(given).map(([key, value]) => `${key}=${scalar(value)}`)
      : Array.isArray(given)
        ? given
        : [given]
  return parts.reduce((previous: unknown, part) => one(option, part, previous), undefined)
}

function one(option: Option, given: unknown, previous: unknown): unknown {
  const text = scalar(given)
  return option.parseArg === undefined ? text : option.parseArg(text, previous)
}

function scalar(given: unknown): string {
  if (typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean') return String(given)
  throw new InvalidArgumentError(given === null ? 'it has no value' : 'expected one text or number')
}

const isFlag = ({ required, optional }: Option): boolean => !required && !optional
const isMany = ({ parseArg }: Option): boolean => parseArg === collect || parseArg === collectPairs

function hintFor(name: string, settings: ReadonlyMap<string, Option>): string {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const meant = [...settings.keys()].find((known) => plain(known) === plain(name))
  return meant === undefined
    ? 'keys are the options of herald host in camelCase, such as drainTimeout'
    : `write it ${JSON.stringify(meant)}`
}
