# bzip2: a text is packed and unpacked
# for: large blocks
# needs: bzip2
# program: bzip2
cd "$1" || exit 98
seq 300000 > a; bzip2 -k a && bzip2 -t a.bz2 && bzip2 -dc a.bz2 | cmp - a && wc -c < a.bz2
