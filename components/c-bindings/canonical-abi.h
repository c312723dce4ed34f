// The part of the component model's canonical ABI that our C components need, written by hand: small enough to read whole.
// Freestanding: no libc, no WASI preview 1 adapter, so a component imports what it uses and nothing else.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT(interface, name) __attribute__((import_module(interface), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))

// A list<u8> or a string (UTF-8) as it lies in memory.
typedef struct {
  const char *at;
  uint32_t length;
} text;

#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

// Owned or borrowed resource: an index into the host's table.
typedef int32_t handle;

// result<own<T>, _> and result<own<T>, variant without payload> behind a return pointer.
typedef struct {
  uint8_t is_error;
  union {
    handle value;
    uint8_t error;
  };
} handle_result;

// All memory of one call. The host asks for it through cabi_realloc when it passes strings in; `arena_reset` forgets the last call's.
// The memory grows when the arena is full; no memory left is a trap.
void arena_reset(void);
void *arena_take(uint32_t size, uint32_t alignment);
// Where the arena stands, and back there: for loops within a call.
uint32_t arena_mark(void);
void arena_release(uint32_t mark);
