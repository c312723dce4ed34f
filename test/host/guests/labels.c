// One interface under several labels: three stores and two components. /set and /get with ?at=primary|backup|plain&bucket=B&key=K&value=V;
// /refuse with ?at=left|twin.
#include "query.h"
#include "wasi-keyvalue.h"

IMPORT("primary", "open") void primary_open(const char *name, uint32_t length, keyvalue_opened *result);
IMPORT("primary", "[method]bucket.get")
void primary_get(handle self, const char *key, uint32_t length, keyvalue_value *result);
IMPORT("primary", "[method]bucket.set")
void primary_set(handle self, const char *key, uint32_t length, const char *value, uint32_t value_length, keyvalue_done *result);
IMPORT("primary", "[resource-drop]bucket") void primary_drop(handle self);
IMPORT("backup", "open") void backup_open(const char *name, uint32_t length, keyvalue_opened *result);
IMPORT("backup", "[method]bucket.get")
void backup_get(handle self, const char *key, uint32_t length, keyvalue_value *result);
IMPORT("backup", "[method]bucket.set")
void backup_set(handle self, const char *key, uint32_t length, const char *value, uint32_t value_length, keyvalue_done *result);
IMPORT("backup", "[resource-drop]bucket") void backup_drop(handle self);

// result<u32, string>
typedef struct {
  uint8_t is_error;
  union {
    uint32_t value;
    text why;
  };
} refused;
IMPORT("left", "refuse") void left_refuse(const char *why, uint32_t length, refused *answer);
IMPORT("twin", "refuse") void twin_refuse(const char *why, uint32_t length, refused *answer);

typedef struct {
  void (*open)(const char *, uint32_t, keyvalue_opened *);
  void (*get)(handle, const char *, uint32_t, keyvalue_value *);
  void (*set)(handle, const char *, uint32_t, const char *, uint32_t, keyvalue_done *);
  void (*drop)(handle);
} store;

static const text plain = TEXT("text/plain; charset=utf-8");
static char space[64];

static void failed(handle out, keyvalue_error error) {
  if (error.kind == KEYVALUE_NO_SUCH_STORE) return respond(out, 404, plain, TEXT("no such store"));
  if (error.kind == KEYVALUE_ACCESS_DENIED) return respond(out, 403, plain, TEXT("access denied"));
  respond(out, 502, plain, error.message);
}

static void use_store(handle out, const store *used, text query, bool sets) {
  const text bucket = query_value(query, TEXT("bucket")), key = query_value(query, TEXT("key"));
  const text value = query_value(query, TEXT("value"));
  keyvalue_opened opened;
  used->open(bucket.at, bucket.length, &opened);
  if (opened.is_error) return failed(out, opened.error);
  if (sets) {
    keyvalue_done done;
    used->set(opened.bucket, key.at, key.length, value.at, value.length, &done);
    if (done.is_error) failed(out, done.error);
    else respond(out, 200, plain, TEXT("done"));
  } else {
    keyvalue_value found;
    used->get(opened.bucket, key.at, key.length, &found);
    if (found.is_error) failed(out, found.error);
    else respond(out, found.is_some ? 200 : 204, plain, found.is_some ? found.value : TEXT(""));
  }
  used->drop(opened.bucket);
}

EXPORT("wasi:http/incoming-handler@0.2.12#handle")
void handle_request(handle request, handle out) {
  static const store stores[] = {
      {primary_open, primary_get, primary_set, primary_drop},
      {backup_open, backup_get, backup_set, backup_drop},
      {keyvalue_open, keyvalue_get, keyvalue_set, keyvalue_bucket_drop},
  };
  arena_reset();
  const target asked = read_target(request);
  const text at = query_value(asked.query, TEXT("at"));
  if (same(asked.path, TEXT("/refuse"))) {
    refused answer;
    if (same(at, TEXT("left"))) left_refuse("", 0, &answer);
    else twin_refuse("", 0, &answer);
    buffer body = {space, 0, sizeof space, false};
    put_number(&body, answer.value);
    return respond(out, 200, plain, (text){body.at, body.length});
  }
  const store *used = same(at, TEXT("primary")) ? &stores[0] : same(at, TEXT("backup")) ? &stores[1] : &stores[2];
  use_store(out, used, asked.query, same(asked.path, TEXT("/set")));
}
