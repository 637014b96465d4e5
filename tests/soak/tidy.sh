# tidy: a page with 2,000 open tags is mended
# for: an allocator behind functions of its own
# needs: tidy
# program: tidy
cd "$1" || exit 98
{ echo '<title>x</title>'; for i in $(seq 2000); do echo "<p><b>row $i<i>"; done; } > a.html; tidy -q --show-warnings no --tidy-mark no a.html > b.html; [ $? -lt 2 ] && md5sum < b.html
