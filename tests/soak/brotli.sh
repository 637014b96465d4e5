# brotli: a text is packed with a large window
# for: large blocks
# needs: brotli
# program: brotli
cd "$1" || exit 98
seq 200000 > a; brotli -q 9 -w 24 a -o b.br && wc -c < b.br && brotli -dc b.br | cmp - a
