# grep: a tree of files is searched, with and without PCRE's compiler
# for: regular expressions, JIT
# needs: grep
# program: grep
cd "$1" || exit 98
mkdir d; for i in $(seq 300); do seq "$i" 3000 > "d/$i"; done
grep -rc '99$' d | sort | md5sum; grep -rhP '(\d)\1\1$' d | wc -l; grep -rlwF 2718 d | wc -l
