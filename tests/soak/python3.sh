# python3: a process pool, threads, subprocesses, json and sqlite
# for: forks, threads, interpreter
# needs: python3
# program: python3.11
# within 1%: which worker of the pool takes a task depends on timing
cd "$1" || exit 98
cat > work.py <<'P'
import json, multiprocessing, sqlite3, subprocess, threading
def square(n): return [n * n] * (n % 50)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool: print(sum(map(len, pool.map(square, range(300), 100))))
    out = []
    threads = [threading.Thread(target=lambda n=n: out.append("x" * n * 1000)) for n in range(20)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print(sum(map(len, out)), subprocess.check_output(["echo", "sub"]))
    db = sqlite3.connect(":memory:"); db.execute("create table t(a, b)")
    db.executemany("insert into t values(?, ?)", [(n, str(n)) for n in range(3000)])
    print(db.execute("select count(*), sum(a) from t where b like '%7%'").fetchone(), len(json.dumps([{"n": n} for n in range(5000)])))
P
python3 work.py; rm -rf __pycache__
