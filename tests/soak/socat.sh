# socat: a server that forks for each of 20 connections over a Unix socket, and its clients
# for: forks for each connection, signal handlers
# needs: socat
# program: socat
# within 2%: how many reads a connection's data comes in
. "${0%/*}/wait"
cd "$1" || exit 98
socat UNIX-LISTEN:place,fork EXEC:cat &
server=$!
until_ready test -S place
i=0
while [ $i -lt 20 ]; do echo "line $i" | socat -t 9 - UNIX-CONNECT:place; i=$((i + 1)); done
kill $server
wait $server 2>/dev/null
rm -f place
