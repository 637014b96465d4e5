# patch: a patch of 1,200 hunks is put in and taken out
# for: files by name
# needs: patch diff
# program: patch
cd "$1" || exit 98
seq 50000 > a; awk 'NR%41==0{print "new " $0; next} {print}' a > b; diff -u a b > p; cp a c
patch -s c p && cmp b c && patch -s -R c p && cmp a c && wc -l < c
