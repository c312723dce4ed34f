// Takes messages: who asks gets the body back after "echo ", "forward SUBJECT" is published there, "fail" is an error. By URL it sends:
// /request?subject=S&body=B&timeout=MS and /publish?subject=S&body=B&reply-to=R.
#include "query.h"
#include "wasmcloud-messaging.h"

static const text plain = TEXT("text/plain; charset=utf-8");
static char space[65536];

static bool begins(text value, text with) {
  return value.length >= with.length && same((text){value.at, with.length}, with);
}

EXPORT("wasmcloud:messaging/handler@0.2.0#handle-message")
const messaging_done *handle_message(const char *subject, uint32_t subject_length, const char *body, uint32_t body_length,
                                     int32_t has_reply_to, const char *reply_to, uint32_t reply_to_length) {
  static messaging_done done;
  (void)subject, (void)subject_length;
  const text content = {body, body_length};
  done = (messaging_done){0};
  if (begins(content, TEXT("fail"))) {
    done = (messaging_done){1, TEXT("told to fail")};
  } else if (begins(content, TEXT("trap"))) {
    __builtin_trap();
  } else if (begins(content, TEXT("forward "))) {
    messaging_publish(body + 8, body_length - 8, "forwarded", 9, 0, reply_to, 0, &done);
  } else if (has_reply_to) {
    buffer answer = {space, 0, sizeof space, false};
    put(&answer, TEXT("echo "));
    put(&answer, content);
    messaging_publish(reply_to, reply_to_length, answer.at, answer.length, 0, reply_to, 0, &done);
  }
  arena_reset();
  return &done;
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  const target asked = read_target(request);
  const text subject = query_value(asked.query, TEXT("subject")), body = query_value(asked.query, TEXT("body"));
  if (same(asked.path, TEXT("/request"))) {
    messaging_answer answered;
    const uint32_t timeout_ms = (uint32_t)query_number(asked.query, TEXT("timeout"));
    messaging_request(subject.at, subject.length, body.at, body.length, timeout_ms, &answered);
    if (answered.is_error) return respond(out, 502, plain, answered.message);
    return respond(out, 200, plain, answered.answer.body);
  }
  if (same(asked.path, TEXT("/publish"))) {
    const text reply_to = query_value(asked.query, TEXT("reply-to"));
    messaging_done done;
    messaging_publish(subject.at, subject.length, body.at, body.length, reply_to.length > 0, reply_to.at, reply_to.length, &done);
    if (done.is_error) return respond(out, 502, plain, done.message);
    return respond(out, 200, plain, TEXT("published\n"));
  }
  respond(out, 404, plain, TEXT("there are /request and /publish\n"));
}
