# g++: the standard library's headers
# for: hundreds of thousands of events
# needs: g++
# program: cc1plus
# within 1%: its page tables depend on where mappings lie
cd "$1" || exit 98
printf '#include <map>\n#include <regex>\n#include <string>\n#include <iostream>\nint main() { std::map<std::string, int> m; for (int i = 0; i < 99; i++) m[std::to_string(i)] = i; std::cout << m.size() << std::endl; }\n' > a.cpp
g++ -O1 -g -o a a.cpp && ./a
