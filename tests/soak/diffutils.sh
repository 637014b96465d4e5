# diffutils: two texts of 50,000 lines are compared
# for: large tables
# needs: diff cmp
# program: diff
cd "$1" || exit 98
seq 50000 > a; seq 50000 | awk 'NR%37{print} NR%41==0{print "new " $0}' > b
diff -u a b | tail -n +3 | md5sum; diff -y --suppress-common-lines a b | wc -l; mkdir d e; cp a d; cp b e/a; diff -rq d e; cmp a b
[ $? = 1 ]
