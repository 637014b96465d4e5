# gzip: a text is packed at three levels
# for: static buffers
# needs: gzip
# program: gzip
cd "$1" || exit 98
seq 300000 > a; for level in 1 6 9; do gzip -nk -"$level" -c a > b.gz; gzip -t b.gz; wc -c < b.gz; gzip -dc b.gz | cmp - a; done
