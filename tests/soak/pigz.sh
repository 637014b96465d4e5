# pigz: a file compressed by four threads and decompressed
# for: threads, own pools of buffers
# needs: pigz
# program: pigz
# within 10%: how many buffers its threads have in use depends on timing
cd "$1" || exit 98
seq 400000 >plain
pigz -p 4 -k plain
pigz -d -c plain.gz | cmp - plain && echo same
rm -f plain.gz plain
