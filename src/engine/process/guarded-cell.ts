/** Entry of the cell's thread in a process of its own: a thread that it started itself would not have to ask for permission. */
;(process as { permission?: { drop?(scope: string): void } }).permission?.drop?.('worker')
await import('../cell-main.ts')
