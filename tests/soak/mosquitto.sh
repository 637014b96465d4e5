# mosquitto: a broker: 200 messages from a client written here
# for: drops root, its own memory count
# needs: mosquitto python3
# program: mosquitto
# within 3%: its timers
cd "$1" || exit 98
. "$(dirname "$0")/wait"
port=$(free_port); printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' "$port" > conf; chmod 755 .
mosquitto -c conf >/dev/null 2>&1 & pid=$!
cat > ask.py <<'P'
import socket, struct, sys
while True:
    try: s = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); break
    except OSError: pass
f = s.makefile("rwb", buffering=0)
f.write(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04soak"); print(f.read(4).hex())
f.write(b"\x82\x06\x00\x01\x00\x01t\x00"); print(f.read(5).hex())
for n in range(200):
    f.write(b"\x30\x08\x00\x01t" + b"%05d" % n); assert f.read(10)[5:] == b"%05d" % n
print("done")
P
python3 ask.py "$port"; kill $pid; wait $pid; echo $?
