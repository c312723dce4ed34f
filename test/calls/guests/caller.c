// Calls the other component as its path says.
#include "query.h"

#define FAULTS "test:calls/faults@0.1.0"

// result<u32, string>
typedef struct {
  uint8_t is_error;
  union {
    uint32_t value;
    text why;
  };
} refused;

IMPORT(FAULTS, "trap") void trap(void);
IMPORT(FAULTS, "refuse") void refuse(const char *why, uint32_t length, refused *answer);
IMPORT(FAULTS, "wait") uint32_t wait_ms(uint64_t ms);
IMPORT(FAULTS, "who") void who(text *answer);
IMPORT(FAULTS, "echo") void echo(const char *bytes, uint32_t length, text *answer);

IMPORT("wasi:clocks/monotonic-clock@0.2.12", "now") uint64_t monotonic_now(void);

static const text plain = TEXT("text/plain; charset=utf-8");
static char space[64];
static uint32_t requests;

static void respond_number(handle out, uint64_t value) {
  buffer body = {space, 0, sizeof space, false};
  put_number(&body, value);
  respond(out, 200, plain, (text){body.at, body.length});
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  requests++;
  const target asked = read_target(request);
  if (same(asked.path, TEXT("/trap"))) {
    trap();
    return respond(out, 200, plain, TEXT("went on after a trap"));
  }
  if (same(asked.path, TEXT("/refuse"))) {
    const text why = query_value(asked.query, TEXT("why"));
    refused answer;
    refuse(why.at, why.length, &answer);
    if (answer.is_error) return respond(out, 409, plain, answer.why);
    return respond_number(out, answer.value);
  }
  if (same(asked.path, TEXT("/wait"))) return respond_number(out, wait_ms(query_number(asked.query, TEXT("ms"))));
  if (same(asked.path, TEXT("/echo"))) {
    const uint32_t size = (uint32_t)query_number(asked.query, TEXT("size"));
    char *bytes = arena_take(size, 1);
    for (uint32_t i = 0; i < size; i++) bytes[i] = (char)(i * 7);
    text answer;
    echo(bytes, size, &answer);
    bool equal = answer.length == size;
    for (uint32_t i = 0; equal && i < size; i++) equal = answer.at[i] == (char)(i * 7);
    return respond(out, equal ? 200 : 500, plain, equal ? TEXT("equal") : TEXT("different"));
  }
  if (same(asked.path, TEXT("/who"))) {
    text answer;
    who(&answer);
    return respond(out, 200, plain, answer);
  }
  // Nanoseconds for so many calls, one after the other.
  if (same(asked.path, TEXT("/bench"))) {
    const uint64_t calls = query_number(asked.query, TEXT("n")), begun = monotonic_now();
    char bytes[16] = "sixteen bytes!!";
    const uint32_t mark = arena_mark();
    for (uint64_t i = 0; i < calls; i++) {
      text answer;
      echo(bytes, sizeof bytes, &answer);
      if (answer.length != sizeof bytes) __builtin_trap();
      arena_release(mark);
    }
    return respond_number(out, monotonic_now() - begun);
  }
  if (same(asked.path, TEXT("/requests"))) return respond_number(out, requests);
  respond(out, 404, plain, TEXT("no such path"));
}
