# ghostscript-pdf: poppler reads the text of a document that ghostscript made
# for: C++, reference counts
# needs: gs pdftotext pdfinfo
# program: pdftotext
cd "$1" || exit 98
{ echo '%!PS'; echo '/Helvetica findfont 12 scalefont setfont'; for i in $(seq 60); do for j in $(seq 30); do echo "72 $((j*24)) moveto (page $i line $j) show"; done; echo showpage; done; } > a.ps
gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=a.pdf a.ps; pdftotext -layout a.pdf - | md5sum; pdfinfo a.pdf | grep Pages
