import { workerData } from 'node:worker_threads'

/** Entry of the cell's thread in a process of its own. */
const { authorities } = workerData as { authorities: readonly string[] }
if (authorities.length > 0) {
  const { getCACertificates, setDefaultCACertificates } = await import('node:tls')
  setDefaultCACertificates([...getCACertificates('default'), ...authorities])
}
// A thread that it started itself would not have to ask for permission.
;(process as { permission?: { drop?(scope: string): void } }).permission?.drop?.('worker')
await import('../cell-main.ts')
