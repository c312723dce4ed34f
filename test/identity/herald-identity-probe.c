// Asks herald:identity for what its first argument names, and prints the answer: `subject`, `verify TOKEN AUDIENCE`, `x509 DATA`.
#include "buffer.h"
#include "wasi-cli.h"

#define PACKAGE "herald:identity/"
IMPORT(PACKAGE "component@0.1.0", "subject") void subject(uint32_t result[4]);
IMPORT(PACKAGE "verifier@0.1.0", "verify")
void verify(const char *token, uint32_t token_length, const char *audience, uint32_t audience_length, uint64_t result[8]);
IMPORT(PACKAGE "x509@0.1.0", "current") void current(uint64_t result[4]);
IMPORT(PACKAGE "x509@0.1.0", "sign") void sign(const char *data, uint32_t length, uint32_t result[7]);

static char space[32768];

static text text_at(const uint8_t *at) { return *(const text *)at; }

static void put_hex(buffer *out, text value) {
  for (uint32_t i = 0; i < value.length; i++) {
    put_char(out, "0123456789abcdef"[(unsigned char)value.at[i] >> 4]);
    put_char(out, "0123456789abcdef"[value.at[i] & 15]);
  }
}

static void put_error(buffer *out, const uint8_t *error) {
  put(out, TEXT("error "));
  put_number(out, error[0]);
  put_char(out, ' ');
  if (*(const uint32_t *)(error + 4) != 0) put(out, text_at(error + 4));
}

EXPORT("wasi:cli/run@0.2.12#run") int32_t run(void) {
  arena_reset();
  buffer out = {space, 0, sizeof space, false};
  texts arguments;
  arguments_get(&arguments);
  const text *argument = arguments.at;
  if (same(argument[0], TEXT("subject"))) {
    uint32_t result[4] = {0};
    subject(result);
    const uint8_t *at = (const uint8_t *)result;
    if (at[0]) put_error(&out, at + 4);
    else put(&out, text_at(at + 4));
  } else if (same(argument[0], TEXT("verify"))) {
    uint64_t result[8] = {0};
    verify(argument[1].at, argument[1].length, argument[2].at, argument[2].length, result);
    const uint8_t *at = (const uint8_t *)result;
    if (at[0]) put_error(&out, at + 8);
    else {
      put(&out, text_at(at + 8));
      put(&out, TEXT(" until "));
      put_number(&out, *(const uint64_t *)(at + 24));
    }
  } else {
    uint64_t result[4] = {0};
    current(result);
    const uint8_t *at = (const uint8_t *)result;
    if (at[0]) put_error(&out, at + 8);
    else {
      put(&out, text_at(at + 16));
      const text *chain = *(const text *const *)(at + 8);
      for (uint32_t i = 0; i < *(const uint32_t *)(at + 12); i++) {
        put_char(&out, ' ');
        put_hex(&out, chain[i]);
      }
      uint32_t signature[7] = {0};
      sign(argument[1].at, argument[1].length, signature);
      const uint8_t *signed_at = (const uint8_t *)signature;
      put_char(&out, '\n');
      if (signed_at[0]) put_error(&out, signed_at + 4);
      else {
        put(&out, text_at(signed_at + 4));
        put_char(&out, ' ');
        put_hex(&out, text_at(signed_at + 12));
        put_char(&out, ' ');
        put_hex(&out, text_at(signed_at + 20));
      }
    }
  }
  put_char(&out, '\n');
  write_all(stdout_get(), (text){out.at, out.length});
  return 0;
}
