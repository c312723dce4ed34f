import { connect } from 'node:net'

/** Whether something accepts connections at a Unix socket's path. @throws with the reason if nothing does. */
export function socketAccepts(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

/** Whether a URL answers with a status of 200 to 299. @throws with the reason if nobody answers. */
export async function urlAnswers(url: string, signal: AbortSignal): Promise<boolean> {
  const response = await fetch(url, { signal })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}`)
  return true
}

/** Whether something accepts connections at a port of 127.0.0.1. @throws with the reason if nothing does. */
export function socketListens(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
