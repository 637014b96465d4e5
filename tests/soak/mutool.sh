# mutool: pages are drawn to pixels
# for: an allocator behind functions of its own, exceptions by longjmp
# needs: gs mutool
# program: mutool
cd "$1" || exit 98
{ echo '%!PS'; echo '/Helvetica findfont 40 scalefont setfont'; for i in $(seq 8); do echo "72 300 moveto (page $i) show newpath 200 500 100 0 360 arc fill showpage"; done; } > a.ps
gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=a.pdf a.ps; mutool draw -q -r 60 -o p%d.pnm a.pdf && cat p*.pnm | md5sum; mutool info a.pdf | grep -c Pages
