// GET /?level=0…5&context=C&message=M&times=N writes that many records: 0 is trace, 5 is critical.
#include "query.h"

IMPORT("wasi:logging/logging@0.1.0-draft", "log")
void guest_log(int32_t level, const char *context, uint32_t context_length, const char *message, uint32_t message_length);

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  const target asked = read_target(request);
  const text context = query_value(asked.query, TEXT("context"));
  const text message = query_value(asked.query, TEXT("message"));
  const uint64_t level = query_number(asked.query, TEXT("level"));
  uint64_t times = query_number(asked.query, TEXT("times"));
  if (level > 5 || times > 1000000) return respond(out, 400, TEXT("text/plain"), TEXT("level is 0 to 5, times at most 1000000\n"));
  if (times == 0) times = 1;
  for (uint64_t i = 0; i < times; i++) guest_log((int32_t)level, context.at, context.length, message.at, message.length);
  respond(out, 200, TEXT("text/plain"), TEXT("logged\n"));
}
