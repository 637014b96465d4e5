//! C++: operators new and delete in their forms, and containers whose memory is charged to the line that fills them.
#include "step.h"
#include <memory>
#include <new>
#include <string>
#include <vector>

static void *volatile kept;
static volatile int letters = 71;

struct alignas(64) Wide {
  char bytes[192];
};

struct Shelf {
  std::vector<char> books;
  void fill(int count) {
    books.resize(count); // row: growth=100003/1 total=100003/1 function=Shelf::fill
  }
};

static void forms() {
  kept = new char[37]; // row: growth=37/1 total=37/1 function=forms
  kept = new double; // row: growth=8/1 total=8/1 function=forms
  kept = new (std::nothrow) char[41]; // row: growth=41/1 total=41/1 function=forms
  kept = new Wide; // row: growth=192/1 total=192/1 function=forms
  kept = new Wide[3]; // row: growth=576/1 total=576/1 function=forms
  kept = new (std::nothrow) Wide; // row: growth=192/1 total=192/1 function=forms
  kept = ::operator new(59); // row: growth=59/1 total=59/1 function=forms
  kept = ::operator new(61, std::nothrow); // row: growth=61/1 total=61/1 function=forms
}

static void given_back() {
  kept = new char[43]; // row: growth=0/0 total=43/1 function=given_back
  delete[] (char *)kept;
  kept = new double; // row: growth=0/0 total=8/1 function=given_back
  delete (double *)kept;
  kept = new Wide; // row: growth=0/0 total=192/1 function=given_back
  delete (Wide *)kept;
  kept = new Wide[2]; // row: growth=0/0 total=384/1 function=given_back
  delete[] (Wide *)kept;
  kept = ::operator new(47); // row: growth=0/0 total=47/1 function=given_back
  ::operator delete(kept, (std::size_t)47);
  kept = ::operator new(49, std::nothrow); // row: growth=0/0 total=49/1 function=given_back
  ::operator delete(kept, std::nothrow);
}

static void containers() {
  auto *shelf = new Shelf; // row: growth=24/1 total=24/1 function=containers
  shelf->fill(100003);
  kept = shelf;
  auto *name = new std::string(letters, 'x'); // row: growth=104/2 total=104/2 function=containers
  kept = name;
  kept = std::make_unique<char[]>(1013).release(); // row: growth=1013/1 total=1013/1 function=containers
}

int main() {
  step("warm");
  forms();
  given_back();
  containers();
  step("done");
}
