# dnsmasq: a server for names: 30 questions over the loopback
# for: drops root, forks for TCP
# needs: dnsmasq dig python3
# program: dnsmasq
# within 3%: its helper's timers
cd "$1" || exit 98
. "$(dirname "$0")/wait"
port=$(free_port); dnsmasq -k -C /dev/null -p "$port" -a 127.0.0.1 --no-resolv --no-hosts --address=/a.test/10.1.2.3 --user="$(id -un)" --pid-file= >/dev/null 2>&1 & pid=$!
ask() { dig +short +tries=1 +time=2 -p "$port" @127.0.0.1 "$1.a.test"; }
until_ready sh -c "dig +short +tries=1 +time=1 -p $port @127.0.0.1 x.a.test | grep 10.1.2.3"
for i in $(seq 30); do ask n$i; done | sort | uniq -c; kill $pid; wait $pid; echo $?
