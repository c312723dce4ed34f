import type { ErrorCode } from '../errors/error-codes.ts'
import { errorCodes } from '../errors/error-codes.ts'
import { HeraldError } from '../errors/herald-error.ts'
import type { WireError } from './cell-protocol.ts'

/** An error that came from a cell; `fallback` is its code when the cell names none that users know. */
export function fromWire(error: WireError, fallback: ErrorCode, workload: string): HeraldError {
  const code = error.code in errorCodes ? (error.code as ErrorCode) : fallback
  return new HeraldError(code, `workload ${workload}: ${error.message}`)
}

/** For those who wait for what the cell can no longer give. */
export function cellEnded(reason: string): HeraldError {
  return new HeraldError('ERR_CELL_ENDED', reason)
}

export function missingExport(component: string, name: string): HeraldError {
  return new HeraldError('ERR_COMPONENT_EXPORT_MISSING', `component ${component} does not export ${name}`, {
    hint: 'see what it exports with: herald inspect FILE',
  })
}
