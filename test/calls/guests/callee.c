// What is called: each function is one behaviour that the tests of calls look at.
#include "buffer.h"

IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") void pollable_block(handle self);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") void pollable_drop(handle self);
IMPORT("wasi:clocks/monotonic-clock@0.2.12", "subscribe-duration") handle subscribe_duration(uint64_t nanoseconds);

#define FAULTS "test:calls/faults@0.1.0"

// variant origin
typedef struct {
  uint8_t kind;
  text name;
} origin;
IMPORT("herald:identity/caller@0.1.0", "current") void caller_current(origin *found);

static uint32_t calls;
static char space[4096];

EXPORT(FAULTS "#trap")
void trap(void) { __builtin_trap(); }

// result<u32, string>
typedef struct {
  uint8_t is_error;
  union {
    uint32_t value;
    text why;
  };
} refused;

EXPORT(FAULTS "#refuse")
const refused *refuse(const char *why, uint32_t length) {
  static refused answer;
  calls++;
  answer = length == 0 ? (refused){0, {.value = calls}} : (refused){1, {.why = {why, length}}};
  arena_reset();
  return &answer;
}

EXPORT(FAULTS "#wait")
uint32_t wait_ms(uint64_t ms) {
  calls++;
  if (ms > 0) {
    const handle pollable = subscribe_duration(ms * 1000000u);
    pollable_block(pollable);
    pollable_drop(pollable);
  }
  return calls;
}

EXPORT(FAULTS "#echo")
const text *echo(const char *bytes, uint32_t length) {
  static text answer;
  calls++;
  answer = (text){bytes, length};
  arena_reset();
  return &answer;
}

EXPORT(FAULTS "#who")
const text *who(void) {
  static text answer;
  static const text kinds[] = {TEXT("unknown"), TEXT("sibling "), TEXT("component ")};
  origin found;
  calls++;
  caller_current(&found);
  buffer said = {space, 0, sizeof space, false};
  put(&said, kinds[found.kind]);
  if (found.kind > 0) put(&said, found.name);
  answer = (text){said.at, said.length};
  arena_reset();
  return &answer;
}
