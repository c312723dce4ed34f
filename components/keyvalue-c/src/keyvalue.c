// A store by URL: /get, /set, /delete, /exists, /list, /increment, /get-many, /set-many, /delete-many and /bench, with
// ?bucket=B&key=K&value=V&delta=N; keys of the …-many are separated by commas, and set-many gives all of them the value.
#include "query.h"
#include "wasi-keyvalue.h"

IMPORT("wasi:clocks/monotonic-clock@0.2.12", "now") uint64_t monotonic_now_ns(void);

static const text plain = TEXT("text/plain; charset=utf-8");
static const text bytes = TEXT("application/octet-stream");
static const text json = TEXT("application/json");
static char space[262144];
static text listed[1024];
static keyvalue_pair pairs[1024];

static void respond_error(handle out, keyvalue_error error) {
  if (error.kind == KEYVALUE_NO_SUCH_STORE) return respond(out, 404, plain, TEXT("no such store\n"));
  if (error.kind == KEYVALUE_ACCESS_DENIED) return respond(out, 403, plain, TEXT("access denied\n"));
  respond(out, 502, plain, error.message);
}

static void respond_done(handle out, keyvalue_done done) {
  if (done.is_error) return respond_error(out, done.error);
  respond(out, 200, plain, TEXT("done\n"));
}

static void respond_number(handle out, uint64_t number) {
  buffer body = {space, 0, sizeof space, false};
  put_number(&body, number);
  respond(out, 200, plain, (text){body.at, body.length});
}

static uint32_t split(text list) {
  uint32_t count = 0, start = 0;
  for (uint32_t i = 0; i <= list.length && count < 1024; i++) {
    if (i < list.length && list.at[i] != ',') continue;
    if (i > start) listed[count++] = (text){list.at + start, i - start};
    start = i + 1;
  }
  return count;
}

static void respond_list(handle out, handle bucket, text cursor, text query) {
  keyvalue_page page;
  keyvalue_list_keys(bucket, cursor.length > 0, (int64_t)query_number(query, TEXT("cursor")), &page);
  if (page.is_error) return respond_error(out, page.error);
  buffer body = {space, 0, sizeof space, false};
  put(&body, TEXT("{\"keys\":["));
  for (uint32_t i = 0; i < page.keys.length; i++) {
    if (i > 0) put_char(&body, ',');
    put_json(&body, page.keys.at[i]);
  }
  put(&body, TEXT("],\"cursor\":"));
  if (page.has_cursor) put_number(&body, page.cursor);
  else put(&body, TEXT("null"));
  put_char(&body, '}');
  respond(out, body.overflow ? 500 : 200, json, (text){body.at, body.length});
}

static void respond_get_many(handle out, handle bucket, uint32_t count) {
  keyvalue_pairs found;
  keyvalue_get_many(bucket, listed, count, &found);
  if (found.is_error) return respond_error(out, found.error);
  buffer body = {space, 0, sizeof space, false};
  put_char(&body, '[');
  for (uint32_t i = 0; i < found.length; i++) {
    if (i > 0) put_char(&body, ',');
    if (!found.at[i].is_some) {
      put(&body, TEXT("null"));
      continue;
    }
    put_char(&body, '[');
    put_json(&body, found.at[i].pair.key);
    put_char(&body, ',');
    put_json(&body, found.at[i].pair.value);
    put_char(&body, ']');
  }
  put_char(&body, ']');
  respond(out, body.overflow ? 500 : 200, json, (text){body.at, body.length});
}

// That many gets in a row, timed from in here.
static void respond_bench(handle out, handle bucket, text key, uint64_t n) {
  keyvalue_value found;
  const uint32_t mark = arena_mark();
  const uint64_t started_ns = monotonic_now_ns();
  for (uint64_t i = 0; i < n; i++) {
    arena_release(mark);
    keyvalue_get(bucket, key.at, key.length, &found);
    if (found.is_error) return respond_error(out, found.error);
    if (!found.is_some) return respond(out, 404, plain, TEXT("no such key\n"));
  }
  respond_number(out, monotonic_now_ns() - started_ns);
}

static void respond_value(handle out, handle bucket, text key) {
  keyvalue_value found;
  keyvalue_get(bucket, key.at, key.length, &found);
  if (found.is_error) return respond_error(out, found.error);
  if (!found.is_some) return respond(out, 404, plain, TEXT("no such key\n"));
  respond(out, 200, bytes, found.value);
}

static void answer(handle out, target asked, handle bucket) {
  const text key = query_value(asked.query, TEXT("key")), value = query_value(asked.query, TEXT("value"));
  keyvalue_done done;
  if (same(asked.path, TEXT("/get"))) return respond_value(out, bucket, key);
  if (same(asked.path, TEXT("/set"))) {
    keyvalue_set(bucket, key.at, key.length, value.at, value.length, &done);
    return respond_done(out, done);
  }
  if (same(asked.path, TEXT("/delete"))) {
    keyvalue_delete(bucket, key.at, key.length, &done);
    return respond_done(out, done);
  }
  if (same(asked.path, TEXT("/exists"))) {
    keyvalue_yes found;
    keyvalue_exists(bucket, key.at, key.length, &found);
    if (found.is_error) return respond_error(out, found.error);
    return respond(out, 200, plain, found.yes ? TEXT("true") : TEXT("false"));
  }
  if (same(asked.path, TEXT("/list"))) return respond_list(out, bucket, query_value(asked.query, TEXT("cursor")), asked.query);
  if (same(asked.path, TEXT("/increment"))) {
    keyvalue_sum counted;
    keyvalue_increment(bucket, key.at, key.length, query_number(asked.query, TEXT("delta")), &counted);
    if (counted.is_error) return respond_error(out, counted.error);
    return respond_number(out, counted.sum);
  }
  const uint32_t count = split(key);
  if (same(asked.path, TEXT("/get-many"))) return respond_get_many(out, bucket, count);
  if (same(asked.path, TEXT("/set-many"))) {
    for (uint32_t i = 0; i < count; i++) pairs[i] = (keyvalue_pair){listed[i], value};
    keyvalue_set_many(bucket, pairs, count, &done);
    return respond_done(out, done);
  }
  if (same(asked.path, TEXT("/delete-many"))) {
    keyvalue_delete_many(bucket, listed, count, &done);
    return respond_done(out, done);
  }
  if (same(asked.path, TEXT("/bench"))) return respond_bench(out, bucket, key, query_number(asked.query, TEXT("n")));
  respond(out, 404, plain, TEXT("no such route\n"));
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  arena_reset();
  const target asked = read_target(request);
  const text name = query_value(asked.query, TEXT("bucket"));
  keyvalue_opened opened;
  keyvalue_open(name.at, name.length, &opened);
  if (opened.is_error) return respond_error(out, opened.error);
  answer(out, asked, opened.bucket);
  keyvalue_bucket_drop(opened.bucket);
}
