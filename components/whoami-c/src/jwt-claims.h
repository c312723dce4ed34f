// Reads two claims out of a JWT's payload. It does not check the signature: the host has done that.
#pragma once
#include "buffer.h"

typedef struct {
  text subject;
  uint64_t expires_at_s;
} claims;

// False when the token is not a JWT with a string `sub` and a number `exp` on the top level. Memory from the arena.
bool read_claims(text token, claims *result);
