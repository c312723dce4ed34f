// Path and query of a request, for the examples that are asked by URL.
#pragma once
#include "buffer.h"
#include "wasi-http.h"

typedef struct {
  text path, query;
} target;

// Takes the request and drops it.
static inline target read_target(handle request) {
  optional_text found;
  incoming_request_path(request, &found);
  incoming_request_drop(request);
  const text whole = found.is_some ? found.value : TEXT("/");
  for (uint32_t i = 0; i < whole.length; i++) {
    if (whole.at[i] == '?') return (target){{whole.at, i}, {whole.at + i + 1, whole.length - i - 1}};
  }
  return (target){whole, TEXT("")};
}

static inline int hex_digit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  const char lower = character | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The decoded value of `name`; empty when it is not there.
static inline text query_value(text query, text name) {
  for (uint32_t at = 0; at < query.length;) {
    uint32_t end = at, equals = query.length;
    for (; end < query.length && query.at[end] != '&'; end++)
      if (query.at[end] == '=' && equals == query.length) equals = end;
    if (equals < end && same((text){query.at + at, equals - at}, name)) {
      char *decoded = arena_take(end - equals, 1);
      uint32_t length = 0;
      for (uint32_t i = equals + 1; i < end; i++) {
        const int high = i + 2 <= end - 1 ? hex_digit(query.at[i + 1]) : -1;
        const int low = i + 2 <= end - 1 ? hex_digit(query.at[i + 2]) : -1;
        if (query.at[i] == '%' && high >= 0 && low >= 0) {
          decoded[length++] = (char)(high << 4 | low);
          i += 2;
        } else {
          decoded[length++] = query.at[i];
        }
      }
      return (text){decoded, length};
    }
    at = end + 1;
  }
  return (text){query.at, 0};
}

// The number, 0 when it is none.
static inline uint64_t query_number(text query, text name) {
  const text digits = query_value(query, name);
  uint64_t value = 0;
  for (uint32_t i = 0; i < digits.length; i++) {
    if (digits.at[i] < '0' || digits.at[i] > '9') return 0;
    value = value * 10 + (uint64_t)(digits.at[i] - '0');
  }
  return value;
}
