# xz: four threads compress, one decompresses
# for: threads, blocks of many MB
# needs: xz
# program: xz
# within 2%: its threads share blocks by time
cd "$1" || exit 98
seq 400000 > a; xz -T4 --block-size=500000 -k a && xz -dc a.xz | md5sum; rm a.xz
