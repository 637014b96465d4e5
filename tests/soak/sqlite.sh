# sqlite: an index, a join, a window function and a vacuum
# for: own page cache
# needs: sqlite3
# program: sqlite3
cd "$1" || exit 98
sqlite3 db "create table t(n integer primary key, w text); with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000) insert into t select n, 'w' || (n * 7919 % 5003) from c; create index i on t(w); select count(*), sum(a.n) from t a join t b using(w) where a.n < 500; select w, row_number() over (partition by substr(w, 1, 2) order by n) r from t order by r desc, w limit 3; vacuum;"
