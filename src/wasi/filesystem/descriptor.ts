import * as fs from 'node:fs'
import { type InstanceState, maxOpenPerInstance } from '../instance-state.ts'
import { InputStream } from '../io/input-stream.ts'
import type { IoError } from '../io/io-error.ts'
import { OutputStream } from '../io/output-stream.ts'
import {
  type DescriptorType,
  descriptorStat,
  metadataHash,
  type NewTimestamp,
  timestampSeconds,
  typeOf,
} from './descriptor-stat.ts'
import { DirectoryEntryStream } from './directory-entry-stream.ts'
import { translating } from './error-code.ts'
import { FileSink, FileSource } from './file-streams.ts'
import { OpenFile } from './open-file.ts'
import type { Preopen } from './preopens.ts'
import { entryPath, type Resolved, withResolved } from './resolve-path.ts'

const {
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
} = fs.constants

/** One `read` returns at most this. */
const maxReadBytes = 1 << 20

export type DescriptorFlags = { readonly read?: boolean; readonly write?: boolean; readonly mutateDirectory?: boolean }
export type OpenFlags = {
  readonly create?: boolean
  readonly directory?: boolean
  readonly exclusive?: boolean
  readonly truncate?: boolean
}
export type PathFlags = { readonly symlinkFollow?: boolean }

/**
 * `wasi:filesystem/types#descriptor`: a directory or regular file below a preopen. Nothing else is ever opened, so no call waits on a
 * pipe or device. What a descriptor may do only shrinks: below a read-only preopen nothing can be changed.
 */
export class Descriptor {
  readonly #instance: InstanceState
  readonly #preopen: Preopen
  readonly #file: OpenFile
  readonly #type: DescriptorType
  readonly #flags: DescriptorFlags
  #dropped = false

  private constructor(
    instance: InstanceState,
    preopen: Preopen,
    file: OpenFile,
    type: DescriptorType,
    flags: DescriptorFlags,
  ) {
    this.#instance = instance
    this.#preopen = preopen
    this.#file = file
    this.#type = type
    this.#flags = flags
  }

  static ofPreopen(instance: InstanceState, preopen: Preopen): Descriptor {
    const flags = { read: true, mutateDirectory: !preopen.readOnly }
    return new Descriptor(instance, preopen, preopen.file.hold(), 'directory', flags)
  }

  readViaStream(offset: bigint): InputStream {
    this.#checkFile('read')
    return new InputStream(this.#instance, new FileSource(this.#file, offset))
  }

  writeViaStream(offset: bigint): OutputStream {
    this.#checkFile('write')
    return new OutputStream(this.#instance, new FileSink(this.#file, toNumber(offset)))
  }

  appendViaStream(): OutputStream {
    this.#checkFile('write')
    const fd = translating(() => fs.openSync(entryPath(this.#file.fd, undefined), O_WRONLY | O_APPEND))
    const file = this.#adopt(fd)
    const sink = new FileSink(file, null)
    file.release()
    return new OutputStream(this.#instance, sink)
  }

  /** Taken note of and not acted upon, as the interface permits. */
  advise(_offset: bigint, _length: bigint, _advice: string): void {
    this.#checkFile(undefined)
  }

  syncData(): void {
    this.#checkOpen()
    translating(() => fs.fdatasyncSync(this.#file.fd))
  }

  sync(): void {
    this.#checkOpen()
    translating(() => fs.fsyncSync(this.#file.fd))
  }

  getFlags(): DescriptorFlags {
    this.#checkOpen()
    return { read: false, write: false, mutateDirectory: false, ...this.#flags }
  }

  getType(): DescriptorType {
    this.#checkOpen()
    return this.#type
  }

  setSize(size: bigint): void {
    this.#checkFile('write')
    translating(() => fs.ftruncateSync(this.#file.fd, toNumber(size)))
  }

  setTimes(access: NewTimestamp, modification: NewTimestamp): void {
    this.#checkOpen()
    if (this.#flags.write !== true && this.#flags.mutateDirectory !== true) throw 'not-permitted'
    translating(() => {
      const { atimeNs, mtimeNs } = this.#stat()
      // By its path: futimes is not to be had in a process with permissions.
      const file = entryPath(this.#file.fd, undefined)
      fs.utimesSync(file, timestampSeconds(access, atimeNs), timestampSeconds(modification, mtimeNs))
    })
  }

  read(length: bigint, offset: bigint): [Uint8Array, boolean] {
    this.#checkFile('read')
    return translating(() => {
      const buffer = new Uint8Array(length > maxReadBytes ? maxReadBytes : Number(length))
      const count = fs.readSync(this.#file.fd, buffer, 0, buffer.length, offset)
      return [buffer.subarray(0, count), count === 0 && length > 0n]
    })
  }

  write(buffer: Uint8Array, offset: bigint): bigint {
    this.#checkFile('write')
    return translating(() => BigInt(fs.writeSync(this.#file.fd, buffer, 0, buffer.length, toNumber(offset))))
  }

  readDirectory(): DirectoryEntryStream {
    this.#checkDirectory()
    if (this.#flags.read !== true) throw 'not-permitted'
    this.#checkOpenCount()
    return translating(
      () => new DirectoryEntryStream(this.#instance, fs.opendirSync(entryPath(this.#file.fd, undefined))),
    )
  }

  createDirectoryAt(path: string): void {
    this.#change(path, ({ directoryFd, name }) => {
      if (name === undefined) throw 'exist'
      fs.mkdirSync(entryPath(directoryFd, name))
    })
  }

  stat(): object {
    this.#checkOpen()
    return translating(() => descriptorStat(this.#stat()))
  }

  statAt(flags: PathFlags, path: string): object {
    return this.#look(path, flags, (stats) => descriptorStat(stats))
  }

  setTimesAt(flags: PathFlags, path: string, access: NewTimestamp, modification: NewTimestamp): void {
    this.#change(
      path,
      (resolved) => {
        const stats = statOf(resolved)
        const times = [timestampSeconds(access, stats.atimeNs), timestampSeconds(modification, stats.mtimeNs)] as const
        if (resolved.name === undefined) fs.utimesSync(entryPath(resolved.directoryFd, undefined), ...times)
        else fs.lutimesSync(entryPath(resolved.directoryFd, resolved.name), ...times)
      },
      flags.symlinkFollow,
    )
  }

  /** Both directories must be changeable: a link out of a read-only preopen would make its file writable. */
  linkAt(flags: PathFlags, oldPath: string, newDescriptor: Descriptor, newPath: string): void {
    if (flags.symlinkFollow === true) throw 'invalid'
    this.#change(oldPath, (from) =>
      newDescriptor.#change(newPath, (to) => {
        if (from.name === undefined) throw 'not-permitted'
        if (to.name === undefined) throw 'exist'
        fs.linkSync(entryPath(from.directoryFd, from.name), entryPath(to.directoryFd, to.name))
      }),
    )
  }

  openAt(pathFlags: PathFlags, path: string, openFlags: OpenFlags, flags: DescriptorFlags): Descriptor {
    this.#checkDirectory()
    this.#checkOpenCount()
    const changes = flags.write === true || openFlags.create === true || openFlags.truncate === true
    if ((changes || flags.mutateDirectory === true) && this.#flags.mutateDirectory !== true) throw 'read-only'
    const follow = pathFlags.symlinkFollow === true && !(openFlags.create === true && openFlags.exclusive === true)
    return this.#resolve(path, follow, (resolved) => this.#open(resolved, openFlags, flags))
  }

  readlinkAt(path: string): string {
    this.#checkDirectory()
    return this.#resolve(path, false, ({ directoryFd, name }) => {
      if (name === undefined) throw 'invalid'
      const target = fs.readlinkSync(entryPath(directoryFd, name))
      // An absolute target says where things are on the host.
      if (target.startsWith('/')) throw 'not-permitted'
      return target
    })
  }

  removeDirectoryAt(path: string): void {
    this.#change(path, ({ directoryFd, name }) => {
      if (name === undefined) throw 'invalid'
      fs.rmdirSync(entryPath(directoryFd, name))
    })
  }

  renameAt(oldPath: string, newDescriptor: Descriptor, newPath: string): void {
    this.#change(oldPath, (from) =>
      newDescriptor.#change(newPath, (to) => {
        if (from.name === undefined || to.name === undefined) throw 'busy'
        const source = entryPath(from.directoryFd, from.name)
        if (from.mustBeDirectory || to.mustBeDirectory) {
          if (!fs.lstatSync(source).isDirectory()) throw 'not-directory'
        }
        fs.renameSync(source, entryPath(to.directoryFd, to.name))
      }),
    )
  }

  /** A link may say `..`; following it, a guest still cannot leave. Absolute targets are refused. */
  symlinkAt(target: string, path: string): void {
    if (target.startsWith('/')) throw 'not-permitted'
    if (target === '' || target.includes('\0')) throw 'invalid'
    this.#change(path, ({ directoryFd, name, mustBeDirectory }) => {
      if (name === undefined) throw 'exist'
      if (mustBeDirectory) throw 'no-entry'
      fs.symlinkSync(target, entryPath(directoryFd, name))
    })
  }

  unlinkFileAt(path: string): void {
    this.#change(path, ({ directoryFd, name, mustBeDirectory }) => {
      if (name === undefined) throw 'is-directory'
      const stats = fs.lstatSync(entryPath(directoryFd, name), { bigint: true })
      if (stats.isDirectory()) throw 'is-directory'
      if (mustBeDirectory) throw 'not-directory'
      fs.unlinkSync(entryPath(directoryFd, name))
    })
  }

  isSameObject(other: Descriptor): boolean {
    this.#checkOpen()
    const [one, two] = [this.#stat(), other.#stat()]
    return one.dev === two.dev && one.ino === two.ino
  }

  metadataHash(): object {
    this.#checkOpen()
    return translating(() => metadataHash(this.#stat()))
  }

  metadataHashAt(flags: PathFlags, path: string): object {
    return this.#look(path, flags, (stats) => metadataHash(stats))
  }

  [Symbol.dispose](): void {
    if (this.#dropped) return
    this.#dropped = true
    this.#file.release()
  }

  #open({ directoryFd, name, mustBeDirectory }: Resolved, openFlags: OpenFlags, flags: DescriptorFlags): Descriptor {
    const path = entryPath(directoryFd, name)
    const present = name === undefined ? fs.fstatSync(directoryFd, { bigint: true }) : lstatIfThere(path)
    if (present !== undefined) {
      if (openFlags.create === true && openFlags.exclusive === true) throw 'exist'
      if (present.isSymbolicLink()) throw 'loop'
      // Pipes, sockets and devices are no files to a guest.
      if (!present.isFile() && !present.isDirectory()) throw 'not-permitted'
    }
    const directory = present?.isDirectory() === true
    if ((openFlags.directory === true || mustBeDirectory) && present !== undefined && !directory) throw 'not-directory'
    if (directory && (flags.write === true || openFlags.truncate === true)) throw 'is-directory'
    // Opening does not make directories.
    if (present === undefined && (mustBeDirectory || openFlags.directory === true)) throw 'no-entry'
    const fd = fs.openSync(
      path,
      directory ? O_RDONLY | O_DIRECTORY | (name === undefined ? 0 : O_NOFOLLOW) : fileFlags(openFlags, flags),
      0o666,
    )
    const file = this.#adopt(fd)
    const stats = fs.fstatSync(fd, { bigint: true })
    if (stats.isDirectory() !== directory || (!directory && !stats.isFile())) {
      file.release()
      throw 'not-permitted'
    }
    const granted = directory
      ? { read: true, mutateDirectory: flags.mutateDirectory === true }
      : { read: flags.read === true || flags.write !== true, write: flags.write === true }
    return new Descriptor(this.#instance, this.#preopen, file, typeOf(stats), granted)
  }

  #adopt(fd: number): OpenFile {
    try {
      return new OpenFile(fd, this.#instance)
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  }

  #look<T>(path: string, flags: PathFlags, use: (stats: fs.BigIntStats) => T): T {
    this.#checkDirectory()
    return this.#resolve(path, flags.symlinkFollow === true, (resolved) => {
      const stats = statOf(resolved)
      if (resolved.mustBeDirectory && !stats.isDirectory()) throw 'not-directory'
      return use(stats)
    })
  }

  #change<T>(path: string, use: (resolved: Resolved) => T, follow = false): T {
    this.#checkDirectory()
    if (this.#flags.mutateDirectory !== true) throw 'read-only'
    return this.#resolve(path, follow, use)
  }

  #resolve<T>(path: string, follow: boolean, use: (resolved: Resolved) => T): T {
    return translating(() =>
      withResolved(this.#file.fd, path, follow, (resolved) => {
        this.#checkDenied(resolved)
        return use(resolved)
      }),
    )
  }

  #checkDenied({ directoryFd, name }: Resolved): void {
    const { deniedPaths } = this.#preopen
    if (deniedPaths.length === 0) return
    const directory = fs.readlinkSync(entryPath(directoryFd, undefined))
    const path = name === undefined ? directory : `${directory}/${name}`
    if (deniedPaths.some((denied) => path === denied || path.startsWith(`${denied}/`))) throw 'access'
  }

  #stat(): fs.BigIntStats {
    return fs.fstatSync(this.#file.fd, { bigint: true })
  }

  #checkOpen(): void {
    this.#instance.throwIfEnded()
    if (this.#dropped || this.#file.closed) throw 'bad-descriptor'
  }

  #checkDirectory(): void {
    this.#checkOpen()
    if (this.#type !== 'directory') throw 'not-directory'
  }

  #checkFile(right: 'read' | 'write' | undefined): void {
    this.#checkOpen()
    if (this.#type === 'directory') throw 'is-directory'
    if (right !== undefined && this.#flags[right] !== true) throw 'bad-descriptor'
  }

  #checkOpenCount(): void {
    if (this.#instance.openCount >= maxOpenPerInstance) throw 'quota'
  }
}

/** `wasi:filesystem/types#filesystem-error-code`. */
export function filesystemErrorCode(error: IoError): string | undefined {
  return error.codes.filesystem
}

function fileFlags(openFlags: OpenFlags, flags: DescriptorFlags): number {
  const access = flags.write === true ? (flags.read === true ? O_RDWR : O_WRONLY) : O_RDONLY
  return (
    access |
    O_NOFOLLOW |
    O_NONBLOCK |
    O_NOCTTY |
    (openFlags.create === true ? O_CREAT : 0) |
    (openFlags.exclusive === true ? O_EXCL : 0) |
    (openFlags.truncate === true ? O_TRUNC : 0)
  )
}

function statOf({ directoryFd, name }: Resolved): fs.BigIntStats {
  if (name === undefined) return fs.fstatSync(directoryFd, { bigint: true })
  return fs.lstatSync(entryPath(directoryFd, name), { bigint: true })
}

function lstatIfThere(path: string): fs.BigIntStats | undefined {
  return fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
}

function toNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw 'file-too-large'
  return Number(value)
}
