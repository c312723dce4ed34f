import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WaitingMessages } from '../../src/capabilities/messaging/waiting-messages.ts'
import type { LatticeMessage } from '../../src/lattice/lattice.ts'

function message(n: number, length = n % 300): LatticeMessage {
  const replyTo = n % 3 === 0 ? `_INBOX.${n}` : undefined
  return {
    subject: `subject.${n}`,
    payload: new Uint8Array(length).fill(n % 256),
    replyTo,
    wantsReply: replyTo !== undefined,
    header: () => undefined,
    reply: () => {},
  }
}

for (const atMost of [1, 7, 511, 512, 513, 100_000]) {
  test(`waiting messages come out as they came in, at most ${atMost} at a time, while others come`, () => {
    const waiting = new WaitingMessages()
    let added = 0
    let seen = 0
    const add = (count: number) => {
      for (let n = 0; n < count; n++) waiting.add(message(added++))
    }
    add(2_000)
    while (waiting.length > 0) {
      const { subjects, replies, ends, bytes } = waiting.take(atMost)
      assert.ok(ends.length >= 1 && ends.length <= atMost)
      assert.deepEqual([subjects.length, replies.length], [ends.length, ends.length])
      assert.equal(bytes.buffer.byteLength, ends.at(-1), 'nothing else goes with it')
      let from = 0
      for (const [index, end] of ends.entries()) {
        const { subject, replyTo, payload } = message(seen++)
        assert.equal(subjects[index], subject)
        assert.equal(replies[index], replyTo)
        assert.deepEqual(bytes.subarray(from, end), payload)
        from = end
      }
      if (added < 3_000) add(3)
    }
    assert.equal(seen, added)
    assert.equal(waiting.byteLength, 0)
  })
}

test('the bodies that wait are counted, also large ones', () => {
  const waiting = new WaitingMessages()
  for (let n = 0; n < 3; n++) waiting.add(message(n, 1_000_000))
  assert.equal(waiting.byteLength, 3_000_000)
  waiting.take(1)
  assert.equal(waiting.byteLength, 2_000_000)
})
