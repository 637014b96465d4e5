# w3m: a page of 2,000 links and a table is laid out
# for: a conservative collector that replaces malloc
# needs: w3m
# program: w3m
cd "$1" || exit 98
export HOME=$PWD; { echo '<table>'; for i in $(seq 1000); do echo "<tr><td>$i<td><a href=x$i>link $i</a>"; done; echo '</table>'; } > a.html; w3m -dump -cols 60 a.html | md5sum
