// A text that grows in a fixed space: what does not fit is cut off and remembered as `overflow`.
#pragma once
#include "canonical-abi.h"

typedef struct {
  char *at;
  uint32_t length, capacity;
  bool overflow;
} buffer;

static inline void put_char(buffer *out, char character) {
  if (out->length < out->capacity) out->at[out->length++] = character;
  else out->overflow = true;
}

static inline void put(buffer *out, text value) {
  for (uint32_t i = 0; i < value.length; i++) put_char(out, value.at[i]);
}

static inline void put_number(buffer *out, uint64_t value) {
  char digits[20];
  int count = 0;
  do digits[count++] = '0' + value % 10;
  while ((value /= 10) != 0);
  while (count > 0) put_char(out, digits[--count]);
}

// As a JSON string, quotes included.
static inline void put_json(buffer *out, text value) {
  put_char(out, '"');
  for (uint32_t i = 0; i < value.length; i++) {
    const unsigned char character = value.at[i];
    if (character == '"' || character == '\\') {
      put_char(out, '\\');
      put_char(out, character);
    } else if (character < 0x20) {
      put(out, TEXT("\\u00"));
      put_char(out, "0123456789abcdef"[character >> 4]);
      put_char(out, "0123456789abcdef"[character & 15]);
    } else {
      put_char(out, character);
    }
  }
  put_char(out, '"');
}

static inline bool same(text a, text b) {
  if (a.length != b.length) return false;
  for (uint32_t i = 0; i < a.length; i++)
    if (a.at[i] != b.at[i]) return false;
  return true;
}
