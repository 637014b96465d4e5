# postgresql: a cluster is made; a server and its children answer pgbench-like SQL
# for: a process for each connection, drops root, shared memory
# needs: setpriv /usr/lib/postgresql/15/bin/postgres psql
# program: postgres
# within 5%: it is asked until it is ready, by a process of its own each time, and its background writers wake by time
cd "$1" || exit 98
. "$(dirname "$0")/wait"
bin=/usr/lib/postgresql/15/bin; chmod 777 .
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
as $bin/initdb -D data -U me --no-sync --no-locale -E UTF8 > /dev/null 2>&1 || exit 1
as $bin/postgres -D data -k "$PWD" -h '' -c autovacuum=off > log 2>&1 & pid=$!
until_ready $bin/pg_isready -q -h "$PWD"
psql -h "$PWD" -U me -d postgres -qAt -c 'create table t as select n, md5(n::text) w from generate_series(1, 20000) n; create index on t(w); select count(*), max(w) from t where w like $$a%$$; select sum(n) from (select n from t order by w limit 100) s'
as $bin/pg_ctl -D data -m fast stop > /dev/null; wait $pid; echo $?; rm -rf data
