# mariadb: a server: 5,000 rows, an index, a join
# for: threads, own pools, drops root
# needs: /usr/sbin/mariadbd mariadb mariadb-install-db setpriv
# program: mariadbd
# within 5%: its background threads wake by time
cd "$1" || exit 98
. "$(dirname "$0")/wait"
chmod 777 .
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
as mariadb-install-db --no-defaults --datadir="$PWD/data" --auth-root-authentication-method=normal --skip-test-db > /dev/null 2>&1 || exit 1
as /usr/sbin/mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/sock" --skip-networking --pid-file="$PWD/pid" > log 2>&1 & pid=$!
until_ready mariadb-admin -uroot -S sock ping
echo 'create database d; use d; create table t(n int primary key, w varchar(40), index(w)); insert into t select seq, md5(seq) from seq_1_to_5000; select count(*), max(w) from t where w like "a%"; select sum(a.n) from t a join t b on a.w = b.w where a.n < 500;' | mariadb -uroot -S sock -N
mariadb-admin -uroot -S sock shutdown; wait $pid; echo $?; rm -rf data log
