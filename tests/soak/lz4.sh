# lz4: a text is packed fast and well
# for: large blocks
# needs: lz4
# program: lz4
cd "$1" || exit 98
seq 500000 > a; for level in 1 9; do lz4 -qf -"$level" a b.lz4; wc -c < b.lz4; lz4 -qdf b.lz4 c; cmp a c; done
