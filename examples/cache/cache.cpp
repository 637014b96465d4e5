//! A cache in C++ whose key holds the time of the request: it is filled again and again, and never found.
//!
//! The right answer: the lines of `Cache::page` grow, the text by 1,013 bytes for each request, and the line that puts it into the
//! map by a node. `render`'s scratch memory comes and goes. Frames inside libstdc++ are passed over: what is charged is this file.
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

static int now; /* a clock that never stands still */

struct Cache {
  std::map<std::pair<int, int>, std::vector<char>> pages;

  const std::vector<char> &page(int number) {
    // row: growth=64000/1000 total=64000/1000 function=Cache::page
    auto &text = pages[{number, now++}];
    // row: growth=1013000/1000 total=1013000/1000 function=Cache::page
    if (text.empty()) text.resize(1013, 'x');
    return text;
  }
};

static size_t render(const std::vector<char> &page) {
  // row: growth=0/0 total=1014000/1000 function=render
  std::string scratch(page.begin(), page.end());
  return scratch.size();
}

/* Answers a thousand requests each time a line is read. */
int main() {
  Cache cache;
  char line[80];
  setvbuf(stdin, nullptr, _IONBF, 0);
  setvbuf(stdout, nullptr, _IONBF, 0);
  puts("ready");
  while (fgets(line, sizeof line, stdin)) {
    size_t bytes = 0;
    for (int request = 0; request < 1000; request++) bytes += render(cache.page(request % 10));
    puts("answered");
  }
}
