# qpdf: a document is taken apart, joined and checked
# for: C++, reference counts
# needs: gs qpdf
# program: qpdf
cd "$1" || exit 98
{ echo '%!PS'; echo '/Helvetica findfont 12 scalefont setfont'; for i in $(seq 60); do echo "72 72 moveto (page $i) show showpage"; done; } > a.ps
gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=a.pdf a.ps; qpdf --empty --pages a.pdf 1-60:even a.pdf 60-1:odd -- b.pdf && qpdf --check b.pdf | tail -1; qpdf --show-npages b.pdf; qpdf --qdf --object-streams=disable b.pdf c.pdf
