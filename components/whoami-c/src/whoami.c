#include "buffer.h"
#include "jwt-claims.h"
#include "wasi-cli.h"
#include "wasi-http.h"
#include "wasmcloud-identity.h"

IMPORT("wasi:clocks/monotonic-clock@0.2.12", "now") uint64_t monotonic_now_ns(void);

static const text json = TEXT("application/json; charset=utf-8");
static char space[16384];

static text configured_audience(void) {
  variables environment;
  environment_get(&environment);
  for (uint32_t i = 0; i < environment.length; i++) {
    const variable entry = environment.at[i];
    if (same(entry.name, TEXT("HERALD_AUDIENCE")) && entry.value.length > 0) return entry.value;
  }
  return TEXT("sts.amazonaws.com");
}

static void respond_error(handle out, int32_t status, text code, text message) {
  buffer body = {space, 0, sizeof space, false};
  put(&body, TEXT("{\"error\":{\"code\":"));
  put_json(&body, code);
  put(&body, TEXT(",\"message\":"));
  put_json(&body, message.length > 2000 ? (text){message.at, 2000} : message);
  put(&body, TEXT("}}"));
  respond(out, status, json, (text){body.at, body.length});
}

static void respond_refused(handle out, identity_result result) {
  if (result.is_error && result.kind == IDENTITY_IO) {
    respond_error(out, 503, TEXT("identity-unavailable"), result.value);
  } else if (result.is_error && result.kind == IDENTITY_OTHER) {
    respond_error(out, 403, TEXT("identity-refused"), result.value);
  } else {
    respond_error(out, 403, TEXT("identity-not-found"),
                  TEXT("this component has no identity: no registration entry matches it"));
  }
}

static void put_padded(buffer *out, uint64_t value, uint32_t digits) {
  uint64_t power = 1;
  while (--digits > 0) power *= 10;
  for (; power > 0; power /= 10) put_char(out, '0' + value / power % 10);
}

// Seconds since the Unix epoch as "2026-08-01T12:00:00Z", up to the year 9999.
static void put_time(buffer *out, uint64_t at_s) {
  uint64_t days = at_s / 86400, year = 1970, month = 1;
  for (;; year++) {
    const uint64_t length = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366 : 365;
    if (days < length || year == 9999) break;
    days -= length;
  }
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  for (; month < 12; month++) {
    const uint64_t length = month == 2 ? (leap ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    if (days < length) break;
    days -= length;
  }
  const uint64_t parts[] = {year, month, days + 1, at_s / 3600 % 24, at_s / 60 % 60, at_s % 60};
  for (int i = 0; i < 6; i++) {
    put_padded(out, parts[i], i == 0 ? 4 : 2);
    put_char(out, "--T::Z"[i]);
  }
}

// GET /: who this component is.
static void respond_whoami(handle out) {
  const text audience = configured_audience();
  identity_result result;
  identity_get(audience.at, audience.length, &result);
  if (result.is_error || result.kind == 0) return respond_refused(out, result);
  claims who;
  if (!read_claims(result.value, &who)) {
    return respond_error(out, 502, TEXT("identity-malformed"), TEXT("the host gave something that is not a JWT-SVID"));
  }
  buffer body = {space, 0, sizeof space, false};
  put(&body, TEXT("{\"spiffeId\":"));
  put_json(&body, who.subject);
  put(&body, TEXT(",\"subject\":"));
  put_json(&body, who.subject);
  put(&body, TEXT(",\"audience\":"));
  put_json(&body, audience);
  put(&body, TEXT(",\"expiresAt\":\""));
  put_time(&body, who.expires_at_s);
  put(&body, TEXT("\"}\n"));
  if (body.overflow) return respond_error(out, 500, TEXT("answer-too-large"), TEXT("the answer does not fit"));
  respond(out, 200, json, (text){body.at, body.length});
}

// GET /bench/get?n=…: that many warm gets in a row, timed from in here.
static void respond_bench(handle out, text count) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < count.length; i++) {
    if (count.at[i] < '0' || count.at[i] > '9' || n > 10000000) n = 10000001;
    else n = n * 10 + (uint64_t)(count.at[i] - '0');
  }
  if (n < 1 || n > 10000000) return respond_error(out, 400, TEXT("bad-count"), TEXT("n must be 1 to 10000000"));
  const text audience = configured_audience();
  const uint32_t mark = arena_mark();
  identity_result result;
  identity_get(audience.at, audience.length, &result);  // the cold one is not counted
  if (result.is_error || result.kind == 0) return respond_refused(out, result);
  const uint64_t started_ns = monotonic_now_ns();
  for (uint64_t i = 0; i < n; i++) {
    arena_release(mark);
    identity_get(audience.at, audience.length, &result);
    if (result.is_error || result.kind == 0) return respond_refused(out, result);
  }
  const uint64_t elapsed_ns = monotonic_now_ns() - started_ns;
  buffer body = {space, 0, sizeof space, false};
  put(&body, TEXT("{\"n\":"));
  put_number(&body, n);
  put(&body, TEXT(",\"elapsedNs\":"));
  put_number(&body, elapsed_ns);
  put(&body, TEXT(",\"tokenBytes\":"));
  put_number(&body, result.value.length);
  put(&body, TEXT("}\n"));
  respond(out, 200, json, (text){body.at, body.length});
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  http_method method;
  optional_text target;
  incoming_request_method(request, &method);
  incoming_request_path(request, &target);
  incoming_request_drop(request);

  const text path_with_query = target.is_some ? target.value : TEXT("/");
  text path = path_with_query, query = TEXT("");
  for (uint32_t i = 0; i < path_with_query.length; i++) {
    if (path_with_query.at[i] != '?') continue;
    path.length = i;
    query = (text){path.at + i + 1, path_with_query.length - i - 1};
    break;
  }

  const bool bench = same(path, TEXT("/bench/get"));
  if (!bench && !same(path, TEXT("/")) && !same(path, TEXT("/hello"))) {
    return respond_error(out, 404, TEXT("no-such-route"), TEXT("there are GET /, GET /hello and GET /bench/get?n=100000"));
  }
  if (method.kind != METHOD_GET) return respond_error(out, 405, TEXT("method-not-allowed"), TEXT("use GET"));
  if (same(path, TEXT("/hello"))) return respond(out, 200, TEXT("text/plain; charset=utf-8"), TEXT("hello\n"));
  if (!bench) return respond_whoami(out);
  if (query.length < 2 || query.at[0] != 'n' || query.at[1] != '=') return respond_bench(out, TEXT("100000"));
  respond_bench(out, (text){query.at + 2, query.length - 2});
}
