# cmake: a project configured and built by ninja
# for: big C++ program, libuv, many children
# needs: cmake ninja gcc
# program: cmake
# within 2%: in which order children end
cd "$1" || exit 98
printf 'cmake_minimum_required(VERSION 3.5)\nproject(a C)\nadd_library(l STATIC l.c)\nadd_executable(a a.c)\ntarget_link_libraries(a l)\n' > CMakeLists.txt; echo 'int l(void) { return 7; }' > l.c; echo 'int l(void); int main(void) { return l(); }' > a.c
cmake -G Ninja -B b . > /dev/null && cmake --build b > /dev/null && b/a; echo $?; rm -rf b
