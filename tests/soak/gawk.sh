# gawk: arrays of arrays, sorting, and a coprocess
# for: a child of two pipes
# needs: gawk
# program: gawk
cd "$1" || exit 98
seq 20000 | gawk '{ a[$1 % 97][$1] = $1 * 3 } END { n = 0; for (i in a) n += length(a[i]); PROCINFO["sorted_in"] = "@ind_num_asc"; for (i in a) { s = s i; if (++k == 5) break } print n, s; "echo sub" | getline x; print x }'
