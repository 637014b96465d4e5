//! As check.c, with containers: a map that caches, a vector that doubles, an object that a leaky time forgets.
#include "heapshim.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Session { char bytes[48]; };

static std::map<int, std::string> cache;
static std::vector<long> log_of_times;

static void work(int time, bool leaky) {
  cache[time % 2] = std::string(100, 'x');
  log_of_times.push_back(time);
  auto session = std::make_unique<Session>(); // leak
  if (leaky) session.release();
}

int main(int, char **words) {
  for (int time = 1; time <= std::stoi(words[1]); time++) {
    work(time, std::string(words[2]) == "leaky");
    if (time == 6) heapshim_mark_if_active("steady");
  }
  heapshim_mark_if_active("end");
}
