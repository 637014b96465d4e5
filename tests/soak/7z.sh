# 7z: an archive by two threads, tested and listed
# for: C++, threads
# needs: 7z
# program: 7z
# within 3%: its threads share work by time
cd "$1" || exit 98
seq 200000 > a; 7z a -bd -mmt2 x.7z a > /dev/null && 7z t -bd x.7z | grep -c 'Everything is Ok'; rm x.7z
