# ghostscript: a drawing to a bitmap, and a PDF
# for: own allocator over malloc
# needs: gs
# program: gs
cd "$1" || exit 98
printf '%%!\n1 1 50 { dup 10 mul 100 moveto 20 400 rlineto stroke pop } for showpage\n' > a.ps; gs -q -dBATCH -dNOPAUSE -dSAFER -sDEVICE=ppmraw -r40 -o o.ppm a.ps; md5sum < o.ppm
