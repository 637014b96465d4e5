# ctags: the tags of 2,000 functions
# for: tables that grow
# needs: ctags
# program: ctags-universal
cd "$1" || exit 98
for i in $(seq 2000); do echo "static int f$i(int a) { return a + $i; }"; done > a.c; ctags --sort=yes -f tags a.c && grep -c '^f' tags
