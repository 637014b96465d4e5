# haproxy: a proxy in front of a Python server: 50 requests
# for: threads, own pools, closes descriptors
# needs: haproxy curl python3
# program: haproxy
# within 5%: which of its threads takes a connection
cd "$1" || exit 98
. "$(dirname "$0")/wait"
port=$(free_port); seq 2000 > a; python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 & server=$!
printf 'global\n nbthread 2\ndefaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\nfrontend f\n bind unix@%s/sock\n default_backend b\nbackend b\n server s 127.0.0.1:%s\n' "$PWD" "$port" > conf
haproxy -f conf -db >/dev/null 2>&1 & pid=$!
ask() { curl -sf --unix-socket sock http://localhost/a; }
until_ready ask; for i in $(seq 50); do ask; done | md5sum; kill -TERM $pid $server; wait $pid; echo $?; rm -f sock*
