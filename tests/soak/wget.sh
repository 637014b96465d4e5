# wget: thirty files from a server over the loopback
# for: hash tables, TLS library at start
# needs: wget curl python3
# program: wget
# within 6%: eleven events more for each file whose head and body arrive apart
. "${0%/*}/wait"
cd "$1" || exit 98
mkdir files got; i=0; while [ $i -lt 30 ]; do seq $i >files/$i; i=$((i + 1)); done
port=$(free_port)
python3 -m http.server --bind 127.0.0.1 --directory files "$port" >/dev/null 2>&1 &
server=$!
until_ready curl -s -o got/0 "http://127.0.0.1:$port/0"
i=0; while [ $i -lt 30 ]; do echo "http://127.0.0.1:$port/$i"; i=$((i + 1)); done >list
wget -q -nH -P got -i list && diff -r files got && echo same
kill $server
wait $server 2>/dev/null
rm -rf files got list
