# bison: a parser is made of a grammar of 300 rules
# for: tables that grow
# needs: bison
# program: bison
cd "$1" || exit 98
{ echo '%token A B'; echo '%%'; echo 's: %empty'; for i in $(seq 300); do echo " | s A r$i B"; done; echo ';'; for i in $(seq 300); do echo "r$i: $(printf 'A %.0s' $(seq $((i%9+1)))) ;"; done; } > g.y
bison -Wnone -o g.c g.y 2>/dev/null; grep -c . g.c
