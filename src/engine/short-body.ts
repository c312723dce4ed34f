/** Up to here a body is cheaper as text than as a buffer, between threads and on its way into a socket. */
export const shortBodyBytes = 16_384
