//! C++: allocators that a program brings itself, under names that nobody knows, and functions that look like them.
#include "step.h"
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

static void *volatile kept;
static volatile std::size_t one = 1;

template <class T> static T *keep(T *thing) {
  kept = thing;
  return thing;
}

/* A container's allocator, which counts. */
static std::atomic<std::size_t> counted;

template <class T> struct Counting {
  using value_type = T;
  Counting() = default;
  template <class U> Counting(const Counting<U> &) {}
  T *allocate(std::size_t n) {
    counted += n * sizeof(T);
    T *p = static_cast<T *>(std::malloc(n * sizeof(T)));
    if (!p) throw std::bad_alloc();
    return p;
  }
  void deallocate(T *p, std::size_t) { std::free(p); }
  bool operator==(const Counting &) const { return true; }
  bool operator!=(const Counting &) const { return false; }
};

/* An allocator that is asked by its base, as engines have them. */
struct Heap {
  virtual ~Heap() = default;
  virtual void *take(std::size_t size, std::size_t align, const char *tag) = 0;
};

struct Plain final : Heap {
  std::size_t taken = 0;
  __attribute__((noinline)) void *take(std::size_t size, std::size_t, const char *) override {
    void *p = std::malloc(size);
    if (!p) throw std::runtime_error("no memory");
    taken += size;
    return p;
  }
};

namespace engine {
static void *raw(std::size_t size) {
  void *p = ::operator new(size, std::nothrow);
  if (p == nullptr) std::abort();
  return p;
}
} // namespace engine

/* No wrappers. */

struct Node {
  Node *next;
  int number;
};

struct Shop {
  std::vector<Node *> nodes;
  void *open(std::size_t size) {
    auto *node = static_cast<Node *>(std::malloc(size)); // row: growth=301/1 function=Shop::open
    if (!node) throw std::bad_alloc();
    node->number = 3;
    return node;
  }
};

/* Another's word for something else: it opens what it allocates. */
struct Table {
  Node **slots = nullptr;
  __attribute__((noinline)) Node **allocate(std::size_t n) {
    slots = static_cast<Node **>(std::malloc(n * sizeof(Node *))); // row: growth=2416/1 function=Table::allocate
    if (!slots) throw std::bad_alloc();
    return slots;
  }
};

static void wrappers(Heap &heap) {
  auto *numbers = keep(new std::vector<long, Counting<long>>); // row: growth=24/1 function=wrappers
  numbers->reserve(103 * one); // row: growth=824/1 function=wrappers via=std::vector::reserve
  Counting<char> bytes;
  kept = bytes.allocate(105 * one); // row: growth=105/1 function=wrappers via=Counting::allocate
  kept = heap.take(106 * one, 8, "words"); // row: growth=106/1 function=wrappers via=Plain::take
  kept = engine::raw(107 * one); // row: growth=107/1 function=wrappers
}

static void others() {
  static Shop shop;
  kept = shop.open(301 * one);
  static Table table;
  kept = table.allocate(302 * one);
}

int main() {
  static Plain heap;
  step("warm");
  wrappers(heap);
  others();
  step("done");
}
