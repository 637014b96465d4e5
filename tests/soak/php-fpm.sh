# php-fpm: a pool of two workers answers 50 requests over FastCGI
# for: prefork, own allocator
# needs: /usr/sbin/php-fpm8.2 cgi-fcgi
# program: php-fpm8.2
# within 2%: the master's timers, and which worker takes a request
cd "$1" || exit 98
. "$(dirname "$0")/wait"
echo '<?php $a = array_fill(0, 2000, str_repeat("x", 50)); echo count($a), "\n";' > a.php
printf '[global]\nerror_log=%s/log\ndaemonize=no\n[www]\nuser=nobody\ngroup=nogroup\nlisten=%s/sock\nlisten.mode=0666\npm=static\npm.max_children=2\n' "$PWD" "$PWD" > conf
chmod 755 . a.php
/usr/sbin/php-fpm8.2 -n -R -y conf >/dev/null 2>&1 & pid=$!
ask() { SCRIPT_FILENAME=$PWD/a.php REQUEST_METHOD=GET cgi-fcgi -bind -connect "$PWD/sock" 2>/dev/null | tail -1; }
until_ready ask
until ask | grep -q 2000; do :; done
for i in $(seq 50); do ask; done | sort | uniq -c
kill -TERM $pid; wait $pid; echo $?
rm -f sock log
