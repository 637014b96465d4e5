# strace: the calls of a shell and its children, by ptrace
# for: ptrace, follows forks
# needs: strace cat
# program: strace
cd "$1" || exit 98
strace -f -o log -e trace=openat,execve sh -c 'i=0; while [ $i -lt 5 ]; do cat /dev/null; i=$((i + 1)); done'
grep -c 'execve(' log
rm log
