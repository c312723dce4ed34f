import { mkdirSync, mkdtempSync, renameSync, rmSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HeraldError } from '../../errors/herald-error.ts'

/** Linux, `f_type` of statfs(2). */
const tmpfs = 0x01021994
const ramfs = 0x858458f6
const usual = '/dev/shm'

/** A directory of memory, not of a disk, that only this process's user can enter. Disposal removes it. */
export class MemoryDirectory implements Disposable {
  readonly path: string
  #next = 0

  private constructor(path: string) {
    this.path = path
  }

  /** @throws ERR_MEMORY_DIRECTORY: there is none on this machine */
  static create(base = usual): MemoryDirectory {
    let reason = 'it is no memory'
    try {
      const { type } = statfsSync(base)
      if (type === tmpfs || type === ramfs) return new MemoryDirectory(mkdtempSync(join(base, 'herald-')))
    } catch (error) {
      reason = (error as NodeJS.ErrnoException).code ?? reason
    }
    throw new HeraldError(
      'ERR_MEMORY_DIRECTORY',
      `files of credentials stand in memory only, and not in ${base}: ${reason}`,
      {
        hint: 'mount a tmpfs there, in Kubernetes an emptyDir with medium: Memory',
      },
    )
  }

  makeDirectory(name: string): void {
    mkdirSync(join(this.path, name), { mode: 0o700 })
  }

  /** Whole or not at all for whoever reads meanwhile; who has it open keeps the old one. */
  write(name: string, content: string): void {
    const temporary = join(this.path, `.${this.#next++}`)
    writeFileSync(temporary, content, { mode: 0o400 })
    renameSync(temporary, join(this.path, name))
  }

  /** Nothing happens when it is not there. */
  remove(name: string): void {
    try {
      unlinkSync(join(this.path, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
