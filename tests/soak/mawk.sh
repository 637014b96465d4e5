# mawk: a million additions, arrays and substitutions
# for: its own small-block allocator
# needs: mawk
# program: mawk
cd "$1" || exit 98
mawk 'BEGIN { for (i = 0; i < 100000; i++) { a[i % 997] += i; s = s (i % 10) } for (k in a) t += a[k]; print t, length(s); gsub(/1[0-4]/, "x", s); print length(s) }'
