# lua: tables, closures, string building and coroutines
# for: coroutines without stacks of their own
# needs: lua5.4
# program: lua5.4
cd "$1" || exit 98
lua5.4 -e 'local t = {} for i = 1, 30000 do t[i % 997] = (t[i % 997] or "") .. i end local c = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(("x"):rep(i)) end end) local n = 0 for i = 1, 1000 do n = n + #c() end print(n, #t)'
