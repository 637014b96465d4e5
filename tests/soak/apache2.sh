# apache2: the event model: two processes of threads, 100 files over the loopback
# for: prefork and threads, modules, drops root
# needs: apache2 curl python3
# program: apache2
# within 5%: which thread takes a request
cd "$1" || exit 98
. "$(dirname "$0")/wait"
port=$(free_port); mkdir files; seq 5000 > files/a; chmod 755 . files; m=/usr/lib/apache2/modules
printf 'ServerName localhost\nListen 127.0.0.1:%s\nPidFile %s/pid\nErrorLog %s/log\nDefaultRuntimeDir %s\nDocumentRoot %s/files\nUser nobody\nGroup nogroup\nStartServers 2\nServerLimit 2\nThreadsPerChild 8\nMaxRequestWorkers 16\nLoadModule mpm_event_module %s/mod_mpm_event.so\nLoadModule authz_core_module %s/mod_authz_core.so\n' "$port" "$PWD" "$PWD" "$PWD" "$PWD" $m $m > conf
apache2 -X -v > /dev/null; apache2 -d "$PWD" -f "$PWD/conf" -D FOREGROUND & pid=$!
ask() { curl -sf "http://127.0.0.1:$port/a"; }
until_ready ask; for i in $(seq 100); do ask; done | md5sum; kill -TERM $pid; wait $pid; echo $?; rm -f log pid
