#include "jwt-claims.h"

typedef struct {
  const char *at, *end;
} cursor;

static int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

// The decoded second part of the token; empty when there is none or it is not base64url.
static text decode_payload(text token) {
  uint32_t from = 0;
  while (from < token.length && token.at[from] != '.') from++;
  from++;
  uint32_t to = from;
  while (to < token.length && token.at[to] != '.') to++;
  if (to >= token.length) return TEXT("");
  char *out = arena_take((to - from) * 3 / 4 + 3, 1);
  uint32_t bits = 0, count = 0, length = 0;
  for (uint32_t i = from; i < to; i++) {
    const int value = sextet(token.at[i]);
    if (value < 0) return TEXT("");
    bits = bits << 6 | (uint32_t)value;
    if ((count += 6) >= 8) out[length++] = (char)(bits >> (count -= 8));
  }
  return (text){out, length};
}

static void skip_space(cursor *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
}

static bool take(cursor *in, char expected) {
  skip_space(in);
  if (in->at == in->end || *in->at != expected) return false;
  in->at++;
  return true;
}

// A JSON string as it is written; one with an escape is refused by `plain` (a SPIFFE ID needs none, save the slash that some write as \/).
static bool take_string(cursor *in, text *result, bool *plain) {
  if (!take(in, '"')) return false;
  const char *start = in->at;
  *plain = true;
  for (; in->at < in->end && *in->at != '"'; in->at++) {
    if (*in->at == '\\') {
      *plain = false;
      if (++in->at == in->end) return false;
    }
  }
  if (in->at == in->end) return false;
  *result = (text){start, (uint32_t)(in->at++ - start)};
  return true;
}

static bool take_number(cursor *in, uint64_t *result) {
  skip_space(in);
  if (in->at == in->end || *in->at < '0' || *in->at > '9') return false;
  *result = 0;
  for (int digits = 0; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++, digits++) {
    if (digits == 18) return false;
    *result = *result * 10 + (uint64_t)(*in->at - '0');
  }
  return true;
}

// Any value: up to the comma or the brace that ends it on this level.
static bool skip_value(cursor *in) {
  int depth = 0;
  while (in->at < in->end) {
    skip_space(in);
    if (in->at == in->end) return false;
    const char c = *in->at;
    if (c == '"') {
      text ignored;
      bool plain;
      if (!take_string(in, &ignored, &plain)) return false;
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) return true;
    if (c == '{' || c == '[') depth++;
    if (c == '}' || c == ']') depth--;
    in->at++;
  }
  return false;
}

bool read_claims(text token, claims *result) {
  const text payload = decode_payload(token);
  cursor in = {payload.at, payload.at + payload.length};
  bool has_subject = false, has_expiry = false;
  if (!take(&in, '{')) return false;
  do {
    text key;
    bool plain;
    if (!take_string(&in, &key, &plain) || !take(&in, ':')) return false;
    if (plain && same(key, TEXT("sub"))) {
      if (!take_string(&in, &result->subject, &plain)) return false;
      // Unescaped in place: only \/ may occur in a URI.
      char *to = (char *)result->subject.at;
      for (uint32_t i = 0; i < result->subject.length; i++) {
        char c = result->subject.at[i];
        if (c == '\\' && (c = result->subject.at[++i]) != '/') return false;
        *to++ = c;
      }
      result->subject.length = (uint32_t)(to - result->subject.at);
      has_subject = true;
    } else if (plain && same(key, TEXT("exp"))) {
      if (!take_number(&in, &result->expires_at_s)) return false;
      has_expiry = true;
    }
    if (!skip_value(&in)) return false;
  } while (take(&in, ','));
  return take(&in, '}') && has_subject && has_expiry;
}
