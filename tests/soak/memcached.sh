# memcached: four threads: 3,000 keys set and read
# for: threads, slabs of its own
# needs: memcached python3
# program: memcached
# within 3%: which of its threads takes a connection
cd "$1" || exit 98
cat > ask.py <<'P'
import socket, sys, time
while True:
    try: s = socket.socket(socket.AF_UNIX); s.connect("sock"); break
    except OSError: pass
f = s.makefile("rwb", buffering=0)
for n in range(3000):
    f.write(b"set k%d 0 0 %d\r\n%s\r\n" % (n, n % 500, b"x" * (n % 500))); assert f.readline() == b"STORED\r\n"
total = 0
for n in range(3000):
    f.write(b"get k%d\r\n" % n); head = f.readline().split(); total += len(f.readline()) - 2; assert f.readline() == b"END\r\n"
print(total)
P
chmod 777 .; memcached -u nobody -U 0 -s "$PWD/sock" -a 777 -t 4 & pid=$!
python3 ask.py; kill -TERM $pid; wait $pid; echo $?; rm -f sock
