# redis: a server: 2,000 keys, lists, a Lua script, a saved snapshot by a forked child
# for: fork for snapshots, jemalloc
# needs: redis-server redis-cli
# program: redis-check-rdb
# uncounted: the counting preload does not know the calls that are jemalloc's alone
cd "$1" || exit 98
. "$(dirname "$0")/wait"
redis-server --port 0 --unixsocket "$PWD/sock" --dir "$PWD" --save '' --daemonize no >/dev/null & pid=$!
until_ready redis-cli -s sock ping
seq 2000 | awk '{ print "set k" $1, "v" $1; print "rpush l" $1 % 10, $1 }' | redis-cli -s sock > /dev/null
redis-cli -s sock eval 'local n = 0 for i = 1, 1000 do n = n + #redis.call("get", "k" .. i) end return n' 0
redis-cli -s sock bgsave > /dev/null
until redis-cli -s sock info persistence | grep -q rdb_bgsave_in_progress:0; do :; done
redis-cli -s sock dbsize; redis-cli -s sock shutdown nosave; wait $pid; echo $?
