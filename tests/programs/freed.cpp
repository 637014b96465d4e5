//! A container whose elements two lines erase, one of which stops; and objects that a line deletes.
#include "step.h"
#include <map>
#include <memory>

static std::map<int, int> table;
static int first, end;
static std::unique_ptr<long[]> row;

static void put() {
  table[end++] = 1; // put
}

static void evict() {
  table.erase(first++); // evict
}

static void expire() {
  table.erase(table.begin()); // expire
  first++;
}

static void renew() {
  row.reset(); // drop
  row = std::make_unique<long[]>(end); // renew
}

static void a_round(bool evicts) {
  for (int i = 0; i < 10; i++) put();
  for (int i = 0; evicts && i < 6; i++) evict();
  for (int i = 0; i < 2; i++) expire();
  renew();
}

int main() {
  for (char what = step("warm"); what == 'e' || what == 'n'; what = step("done")) {
    int rounds = what == 'e' ? 100 : 10;
    for (int i = 0; i < rounds; i++) a_round(what == 'e');
  }
  return 0;
}
