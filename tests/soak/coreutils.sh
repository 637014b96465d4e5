# coreutils: sort on four threads, and what is around it
# for: threads
# needs: sort seq
# program: sort
# within 3%: which thread takes which part of the merge depends on timing
cd "$1" || exit 98
seq 200000 | awk '{ print ($1 * 7919) % 200003, $1 }' > text
sort --parallel=4 -S 1M -k1,1n text | md5sum
