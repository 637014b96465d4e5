# groff: a manual page to text and PostScript
# for: C++, a pipeline of four
# needs: groff
# program: troff
cd "$1" || exit 98
{ echo '.TH A 1'; for i in $(seq 300); do echo ".SH S$i"; echo "text of \\fBsection\\fP $i"; done; } > a; groff -man -Tascii a | md5sum; groff -man -Tps a | grep -v CreationDate | md5sum
