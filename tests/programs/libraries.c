//! C: what a library takes for a program is charged to the program's line, and the library's function is the `via`.
#include "step.h"
#include <apr_general.h>
#include <glib.h>
#include <obstack.h>
#include <regex.h>
#include <search.h>
#include <sqlite3.h>
#include <stdio.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

static void *volatile kept;

static void glib(void) {
  kept = g_malloc(37); // row: growth=37/1 via=g_malloc
  kept = g_strdup("a word"); // row: growth=7/1 via=g_strdup
  kept = g_strdup_printf("%d words of printf", 7); // row: via=g_strdup_printf
  GHashTable *table = g_hash_table_new(g_str_hash, g_str_equal); // row:
  for (int at = 0; at < 100; at++)
    g_hash_table_insert(table, "key" + at % 3, table); // row:
  GPtrArray *array = g_ptr_array_new(); // row: via=g_ptr_array_new
  for (int at = 0; at < 100; at++)
    g_ptr_array_add(array, table); // row: growth=1024/1 via=g_ptr_array_add
  GString *string = g_string_new("text"); // row: via=g_string_new
  g_string_append_printf(string, "%0200d", 7); // row: via=g_string_append_printf
  kept = string;
  kept = g_key_file_new(); // row: via=g_key_file_new
}

/* APR maps its pools where it was built so: what is then left on the heap is its tables of what it has started with. */
static void apr(void) {
  apr_initialize(); // row: via=apr_initialize
}

static void database(void) {
  sqlite3 *base;
  sqlite3_open(":memory:", &base); // row: via=libsqlite3.so.0
  sqlite3_exec(base, "create table t (a, b); insert into t values (1, 'x')", 0, 0, 0); // row: via=sqlite3_exec
  sqlite3_stmt *query;
  sqlite3_prepare_v2(base, "select a from t where b = ?", -1, &query, 0); // row: via=sqlite3_prepare_v2
  kept = sqlite3_mprintf("%s of mine", "a word"); // row: via=sqlite3_mprintf
}

static void c_library(void) {
  static struct obstack stack;
  obstack_init(&stack); // row: growth=0/0 total=4064/1
  kept = obstack_alloc(&stack, 10007); // row: growth=10122/1
  kept = strdup("a word"); // row: growth=7/1 via=strdup
  asprintf((char **)&kept, "%d words", 7); // row: growth=8/1
  kept = fopen("/dev/null", "w"); // row: growth=472/1
  fprintf((FILE *)kept, "%d", 7); // row: growth=4096/1
  static void *root;
  tsearch("key", &root, (int (*)(const void *, const void *))strcmp); // row: via=tsearch
  static regex_t pattern;
  regcomp(&pattern, "[a-c]+(x|y)*", REG_EXTENDED); // row: via=regcomp
  setenv("HEAPSHIM_A_WORD", "of mine", 1); // row:
}

int main(void) {
  step("warm");
  glib();
  apr();
  database();
  c_library();
  step("done");
}
