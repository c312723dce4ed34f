import { Waitable } from './waitable.ts'

/** Where an output stream's bytes go. */
export abstract class ByteSink extends Waitable {
  /** Bytes `write` takes now; 0 means: wait until `ready()`. @throws StreamError when failed or closed. */
  abstract capacity(): number

  /** Takes all of `bytes`, which become the sink's own. @throws StreamError */
  abstract write(bytes: Uint8Array): void

  /** True once what was written has left the sink's own buffer. @throws StreamError */
  flushed(): boolean {
    return this.capacity() > 0
  }

  /** The stream was dropped. Idempotent, never throws. */
  abstract close(): void
}
