// wasmcloud:identity/store@0.0.1
#pragma once
#include "canonical-abi.h"

enum { IDENTITY_IO = 0, IDENTITY_NOT_FOUND = 1, IDENTITY_OTHER = 2 };

// result<option<string>, error>
typedef struct {
  uint8_t is_error;
  uint8_t kind __attribute__((aligned(4)));  // ok: 1 when there is a token; error: one of IDENTITY_…
  text value;                                // the token, or the error's text (none for not-found)
} identity_result;

IMPORT("wasmcloud:identity/store@0.0.1", "get")
void identity_get(const char *audience, uint32_t length, identity_result *result);
