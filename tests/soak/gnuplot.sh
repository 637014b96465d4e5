# gnuplot: two functions and a histogram as SVG
# for: longjmp out of errors
# needs: gnuplot
# program: gnuplot-nox
cd "$1" || exit 98
seq 500 > d; gnuplot -e 'set terminal svg; set output "o.svg"; plot sin(x), "d" using ($1*$1) smooth csplines; print 1+' 2>/dev/null; gnuplot -e 'set terminal svg; set output "o.svg"; plot sin(x), "d" using ($1*$1)'; grep -c path o.svg
