# imagemagick: a gradient, blurred, resized and turned, by four threads
# for: OpenMP, plugins
# needs: convert-im6.q16
# program: convert-im6.q16
# within 3%: OpenMP makes as many threads as there are processors
cd "$1" || exit 98
export OMP_NUM_THREADS=4
convert-im6.q16 -size 300x200 gradient:red-blue -blur 0x3 -resize 50% -rotate 30 out.ppm && md5sum < out.ppm
