# webp: a picture is packed with and without loss
# for: threads, large blocks
# needs: convert cwebp dwebp
# program: cwebp
cd "$1" || exit 98
convert -size 400x300 gradient:red-blue a.png && cwebp -quiet -mt -m 6 a.png -o a.webp && cwebp -quiet -lossless a.png -o b.webp && dwebp -quiet b.webp -ppm -o b.ppm && wc -c < b.ppm
