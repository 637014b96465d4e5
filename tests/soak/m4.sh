# m4: macros that call themselves 5,000 times
# for: deep recursion
# needs: m4
# program: m4
cd "$1" || exit 98
printf 'define(`loop'"'"', `ifelse($1, 0, `done'"'"', `$1 loop(decr($1))'"'"')'"'"')dnl\nloop(2000)\n' | m4 | md5sum
