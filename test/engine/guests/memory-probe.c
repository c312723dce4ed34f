// Looks whether anything of an earlier call is left in its memory, then leaves its mark everywhere it can.
#include "buffer.h"
#include "query.h"
#include "wasi-http.h"

extern unsigned char __heap_base;

static uint32_t calls;

static uint32_t memory_bytes(void) { return (uint32_t)__builtin_wasm_memory_size(0) * 65536u; }

static void put_count(buffer *out, text name, uint32_t value) {
  char digits[10];
  uint32_t length = 0;
  do {
    digits[sizeof digits - ++length] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  put(out, name);
  put(out, (text){digits + sizeof digits - length, length});
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  static char space[256];
  volatile unsigned char *const heap = &__heap_base;
  const uint32_t length = memory_bytes() - (uint32_t)(uintptr_t)heap;
  uint32_t dirty = 0;
  for (uint32_t i = 0; i < length; i++) dirty += heap[i] != 0;
  calls += 1;
  arena_reset();
  const text path = read_target(request).path;
  const bool grows = same(path, TEXT("/grow")), traps = same(path, TEXT("/trap"));
  if (grows) __builtin_wasm_memory_grow(0, 1);
  const uint32_t grown = memory_bytes() - (uint32_t)(uintptr_t)heap;
  for (uint32_t i = 0; i < grown; i++) heap[i] = 0xab;
  if (traps) __builtin_trap();
  buffer body = {space, 0, sizeof space, false};
  put_count(&body, TEXT("calls="), calls);
  put_count(&body, TEXT(" dirty="), dirty);
  put_count(&body, TEXT(" pages="), memory_bytes() / 65536u);
  put_count(&body, TEXT(" looked="), length > 0);
  respond(out, 200, TEXT("text/plain"), (text){body.at, body.length});
}
