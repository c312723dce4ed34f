// A process of its own: publishes COUNT messages of 64 bytes on SUBJECT, then asks there once, and prints the ms until the answer.
import { connect } from 'nats'

const [url = '', subject = '', count = '0'] = process.argv.slice(2)
const connection = await connect({ servers: url })
const payload = Buffer.alloc(64, 'x')
await connection.flush()
const startedMs = performance.now()
for (let sent = 0; sent < Number(count); sent++) {
  connection.publish(subject, payload)
  // The client buffers without bound: wait for the server now and then.
  if (sent % 10_000 === 9_999) await connection.flush()
}
await connection.request(subject, payload, { timeout: 60_000 })
console.log(performance.now() - startedMs)
await connection.close()
