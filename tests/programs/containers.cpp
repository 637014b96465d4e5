//! C++: what the standard library takes is charged to the line that made it take it, and that line's call is the `via`.
#include "step.h"
#include <any>
#include <deque>
#include <fstream>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <queue>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

static void *volatile kept;
static volatile int many = 1009;

template <class T> static T *keep(T *thing) {
  kept = thing;
  return thing;
}

/* A class that brings its own operators: allocators, not lines of the program. */
struct Message {
  char text[71];
  static void *operator new(std::size_t size) { return std::malloc(size); }
  static void operator delete(void *memory) { std::free(memory); }
};

struct Entry {
  int key;
  std::string name;
};

static void pointers() {
  keep(std::make_unique<char[]>(53).release()); // row: growth=53/1 via=std::make_unique
  auto *shared = keep(new std::shared_ptr<Entry>); // row: growth=16/1
  *shared = std::make_shared<Entry>(); // row: growth=0/0 total=56/1 via=std::make_shared
  shared->reset(new Entry); // row: growth=64/2
  keep(new Message); // row: growth=71/1
}

static void sequences() {
  auto *numbers = keep(new std::vector<int>); // row: growth=24/1
  for (int at = 0; at < 100; at++)
    numbers->push_back(at); // row: growth=512/1 via=std::vector::push_back
  auto *entries = keep(new std::vector<Entry>); // row: growth=24/1
  entries->emplace_back(); // row: growth=40/1 via=std::vector::emplace_back
  auto *queue = keep(new std::deque<int>); // row: growth=656/3
  for (int at = 0; at < 300; at++)
    queue->push_back(at); // row: growth=1024/2 via=std::deque::push_back
  auto *list = keep(new std::list<long>); // row: growth=24/1
  list->push_back(7); // row: growth=24/1 via=std::list::push_back
  auto *bits = keep(new std::vector<bool>); // row: growth=40/1
  bits->resize(many); // row: growth=128/1
  auto *heap = keep(new std::priority_queue<int>); // row: growth=32/1
  heap->push(7); // row: growth=4/1 via=std::priority_queue::push
}

static void tables() {
  auto *tree = keep(new std::map<int, long>); // row: growth=48/1
  (*tree)[7] = 8; // row: growth=48/1 via=std::map::operator[]
  tree->insert({9, 10}); // row: growth=48/1 via=std::map::insert
  auto *set = keep(new std::set<std::string>); // row: growth=48/1
  set->insert(std::string(many, 'x')); // row: growth=1074/2
  auto *hash = keep(new std::unordered_map<int, int>); // row: growth=56/1
  (*hash)[7] = 8; // row: growth=120/2 via=std::unordered_map::operator[]
}

static void texts() {
  auto *text = keep(new std::string); // row: growth=32/1
  *text += std::string(many, 'x'); // row: growth=0/0 total=2020/2
  text->append(many, 'y'); // row: growth=2019/1
  auto *stream = keep(new std::ostringstream); // row: growth=376/1
  for (int at = 0; at < 100; at++)
    *stream << "a word of this length "; // row: growth=4097/1 via=std::operator<<
  auto *file = keep(new std::ofstream("/dev/null")); // row:
  *file << many;
  auto *pattern = keep(new std::regex("[a-c]+(x|y)*")); // row:
  kept = pattern;
}

static void functions() {
  char large[64] = {1};
  auto *call = keep(new std::function<int()>); // row: growth=32/1
  *call = [large] { return large[0]; }; // row: growth=64/1 via=operator=
  auto *any = keep(new std::any); // row: growth=16/1
  *any = Entry{}; // row: growth=40/1 via=std::any::operator=
  auto *promise = keep(new std::promise<int>); // row:
  kept = promise;
  auto *pool = keep(new std::pmr::monotonic_buffer_resource); // row:
  kept = pool->allocate(100); // row: via=std::pmr::memory_resource::allocate
}

int main() {
  step("warm");
  pointers();
  sequences();
  tables();
  texts();
  functions();
  step("done");
}
