#include "canonical-abi.h"

extern char __heap_base;  // set by the linker: the first byte after stack and data
static uint32_t next;     // 0 until the first use

static uint32_t base(void) { return (uint32_t)(uintptr_t)&__heap_base; }

void arena_reset(void) { next = base(); }

uint32_t arena_mark(void) { return next == 0 ? base() : next; }

void arena_release(uint32_t mark) { next = mark; }

void *arena_take(uint32_t size, uint32_t alignment) {
  const uint32_t start = (arena_mark() + alignment - 1) & ~(alignment - 1);
  if (start + size < start) __builtin_trap();
  const uint32_t capacity = __builtin_wasm_memory_size(0) * 65536u;
  if (start + size > capacity) {
    const uint32_t pages = (start + size - capacity + 65535u) / 65536u;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) __builtin_trap();
  }
  next = start + size;
  return (void *)(uintptr_t)start;
}

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, uint32_t old_size, uint32_t alignment, uint32_t new_size) {
  void *fresh = arena_take(new_size, alignment);
  if (old_size != 0) __builtin_memcpy(fresh, old, old_size < new_size ? old_size : new_size);
  return fresh;
}
