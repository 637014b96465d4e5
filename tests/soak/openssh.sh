# openssh: a server, a key, twenty commands over a connection each
# for: re-executes itself, drops root, seccomp
# needs: /usr/sbin/sshd ssh ssh-keygen bash python3
# program: ssh
# within 1%: names of keys and ports differ in length
cd "$1" || exit 98
. "$(dirname "$0")/wait"
port=$(free_port); umask 077; mkdir -p /run/sshd 2>/dev/null
ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f key && cp key.pub allowed
printf 'Port %s\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/allowed\nStrictModes no\nUsePAM no\nPidFile none\n' "$port" "$PWD" "$PWD" > conf
/usr/sbin/sshd -D -f conf -E log & pid=$!
ask() { ssh -F none -p "$port" -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=known -o LogLevel=ERROR "$(id -un)@127.0.0.1" "$@"; }
until_ready bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"; ask true
for i in $(seq 20); do ask echo $i; done | md5sum
kill $pid; wait $pid; rm -f log known
