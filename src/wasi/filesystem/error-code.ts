/** `wasi:filesystem/types#error-code`: thrown to the guest as it is. */
export type FilesystemErrorCode = (typeof byErrno)[keyof typeof byErrno]

const byErrno = {
  EACCES: 'access',
  /** Of Node's permission model. */
  ERR_ACCESS_DENIED: 'access',
  EAGAIN: 'would-block',
  EALREADY: 'already',
  EBADF: 'bad-descriptor',
  EBUSY: 'busy',
  EDEADLK: 'deadlock',
  EDQUOT: 'quota',
  EMFILE: 'quota',
  ENFILE: 'quota',
  EEXIST: 'exist',
  EFBIG: 'file-too-large',
  EILSEQ: 'illegal-byte-sequence',
  EINPROGRESS: 'in-progress',
  EINTR: 'interrupted',
  EINVAL: 'invalid',
  EIO: 'io',
  EISDIR: 'is-directory',
  ELOOP: 'loop',
  EMLINK: 'too-many-links',
  EMSGSIZE: 'message-size',
  ENAMETOOLONG: 'name-too-long',
  ENODEV: 'no-device',
  ENOENT: 'no-entry',
  ENOLCK: 'no-lock',
  ENOMEM: 'insufficient-memory',
  ENOSPC: 'insufficient-space',
  ENOTDIR: 'not-directory',
  ENOTEMPTY: 'not-empty',
  ENOTRECOVERABLE: 'not-recoverable',
  ENOTSUP: 'unsupported',
  EOPNOTSUPP: 'unsupported',
  ENOSYS: 'unsupported',
  ENOTTY: 'no-tty',
  ENXIO: 'no-such-device',
  EOVERFLOW: 'overflow',
  EPERM: 'not-permitted',
  EPIPE: 'pipe',
  EROFS: 'read-only',
  ESPIPE: 'invalid-seek',
  ETXTBSY: 'text-file-busy',
  EXDEV: 'cross-device',
} as const

/** To be thrown in place of a node:fs error; what is no such error (a defect) is thrown as it is and traps. */
export function filesystemErrorOf(error: unknown): FilesystemErrorCode {
  if (typeof error === 'string') return error as FilesystemErrorCode
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error
  if (error.code in byErrno) return byErrno[error.code as keyof typeof byErrno]
  // Arguments that node:fs refuses before it asks the kernel.
  if (error.code.startsWith('ERR_')) return 'invalid'
  return 'io'
}

/** Runs `operation`; its node:fs errors become WASI's. No host path gets into them. */
export function translating<T>(operation: () => T): T {
  try {
    return operation()
  } catch (error) {
    throw filesystemErrorOf(error)
  }
}
