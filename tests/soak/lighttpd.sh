# lighttpd: a server of one process: 100 files over a Unix socket
# for: epoll, drops nothing
# needs: lighttpd curl
# program: lighttpd
# within 20%: it is asked until it is ready, and serves what it is asked
cd "$1" || exit 98
. "$(dirname "$0")/wait"
mkdir files; seq 5000 > files/a
printf 'server.document-root = "%s/files"\nserver.bind = "%s/sock"\nserver.port = 0\nserver.errorlog = "%s/log"\n' "$PWD" "$PWD" "$PWD" > conf
lighttpd -D -f conf & pid=$!
ask() { curl -sf --unix-socket sock http://localhost/a; }
until_ready ask; for i in $(seq 100); do ask; done | md5sum; kill -INT $pid; wait $pid; echo $?; rm -f sock log
