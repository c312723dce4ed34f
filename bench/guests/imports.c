// Calls the host in a row, timed from in here: /plain an import that answers at once, /waits one that the guest is suspended for, / neither.
// The answer is the nanoseconds of `calls` calls.
#include "buffer.h"
#include "wasi-http.h"

enum { calls = 200000 };

IMPORT("wasi:clocks/monotonic-clock@0.2.12", "now") uint64_t monotonic_now_ns(void);
IMPORT("herald:bench/host", "plain") uint32_t plain(uint32_t number);
IMPORT("herald:bench/host", "waits") uint32_t waits(uint32_t number);

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  optional_text path;
  incoming_request_path(request, &path);
  incoming_request_drop(request);
  uint32_t number = 0;
  const uint64_t started_ns = monotonic_now_ns();
  if (path.is_some && same(path.value, TEXT("/plain"))) {
    while (number < calls) number = plain(number);
  } else if (path.is_some && same(path.value, TEXT("/waits"))) {
    while (number < calls) number = waits(number);
  }
  char space[32];
  buffer digits = {space, 0, sizeof space, false};
  put_number(&digits, monotonic_now_ns() - started_ns);
  respond(out, 200, TEXT("text/plain"), (text){space, digits.length});
}
