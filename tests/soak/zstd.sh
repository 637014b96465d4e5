# zstd: four threads, long distance
# for: threads, own thread pool
# needs: zstd
# program: zstd
# within 3%: its threads share buffers by time
cd "$1" || exit 98
seq 400000 > a; zstd -q -T4 --long -12 a -o b && zstd -dc b | md5sum; rm b
