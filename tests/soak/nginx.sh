# nginx: a master and two workers without root serve 100 files over a Unix socket
# for: prefork, drops root, closes descriptors
# needs: nginx curl
# program: nginx
# within 2%: which worker takes a request, and how often it wakes
cd "$1" || exit 98
. "$(dirname "$0")/wait"
mkdir files logs; seq 5000 > files/a; chmod 755 . files
printf 'worker_processes 2;\npid %s/pid;\nerror_log %s/logs/error;\ndaemon on;\nevents {}\nhttp { access_log off; gzip on; client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5; server { listen unix:%s/sock; root %s/files; } }\n' "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" > conf
nginx -c "$PWD/conf" -e "$PWD/logs/error" || exit 1
ask() { curl -sf --compressed --unix-socket sock http://localhost/a; }
until_ready ask
for i in $(seq 100); do ask; done | md5sum
pid=$(cat pid); nginx -c "$PWD/conf" -e "$PWD/logs/error" -s quit; tail --pid="$pid" -f /dev/null
