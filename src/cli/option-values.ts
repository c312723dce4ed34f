import { InvalidArgumentError } from 'commander'

export type ListenAddress = { readonly host: string; readonly port: number }

/** `127.0.0.1:8000`, `[::1]:8000`, `:8000` (all addresses) or `8000` (loopback). Port 0 takes a free one. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:(?<host>[^:[\]]*|\[[0-9A-Fa-f:.]+\]):)?(?<port>\d{1,5})$/.exec(text)
  const port = Number(match?.groups?.port)
  if (match === null || port > 65_535)
    throw new InvalidArgumentError('write ADDRESS:PORT, such as 127.0.0.1:8000 or [::1]:8000')
  const host = match.groups?.host
  if (host === undefined) return { host: '127.0.0.1', port }
  return { host: host === '' ? '0.0.0.0' : host.replace(/^\[|\]$/g, ''), port }
}

export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('write a number from 0 to 65535')
  return port
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** `500ms`, `20s`, `2m`, `1h` → milliseconds. A unit is required, so that nobody has to guess it. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const durationMs = Math.round(Number(match?.[1]) * (units[match?.[2] ?? ''] ?? Number.NaN))
  if (!(durationMs <= 86_400_000))
    throw new InvalidArgumentError('write a number and its unit: 500ms, 20s, 2m (at most 24h)')
  return durationMs
}

/** A duration, or `never`: infinite. */
export function parseIdleTimeoutMs(text: string): number {
  return text === 'never' ? Number.POSITIVE_INFINITY : parseDurationMs(text)
}

/** Collects repeated `KEY=VALUE` into one record. */
export function collectPairs(
  text: string,
  previous: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const equals = text.indexOf('=')
  if (equals < 1) throw new InvalidArgumentError('write KEY=VALUE')
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) }
}

/** Collects a repeated option into a list. */
export function collect(text: string, previous: readonly string[] = []): readonly string[] {
  if (text.trim() === '') throw new InvalidArgumentError('it must not be empty')
  return [...previous, text]
}

/** 0 to 64: more instances than that the engine keeps for no component. */
export function parsePoolSize(text: string): number {
  const size = Number(text)
  if (!/^\d{1,2}$/.test(text) || size > 64) throw new InvalidArgumentError('write a number from 0 to 64')
  return size
}

/** A whole number of MiB, 1 to 4096: a linear memory cannot be larger. */
export function parseMebibytes(text: string): number {
  const size = Number(text)
  if (!/^\d{1,4}$/.test(text) || size < 1 || size > 4096)
    throw new InvalidArgumentError('write a number of MiB from 1 to 4096')
  return size
}

/** Thousandths of a processor, 10 to 1000, with or without Kubernetes' `m`: a cell computes on one thread. */
export function parseMillicores(text: string): number {
  const millicores = Number.parseInt(text, 10)
  if (!/^\d{1,4}m?$/.test(text) || millicores < 10 || millicores > 1_000)
    throw new InvalidArgumentError('write a number from 10 to 1000, such as 200m: thousandths of a processor')
  return millicores
}

/** A number of replicas: 0 to 1000. */
export function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d{1,4}$/.test(text) || count > 1_000) throw new InvalidArgumentError('write a number from 0 to 1000')
  return count
}
