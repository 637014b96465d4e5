# dash: functions, here-documents, traps, substitutions and pipelines, as scripts of a system have them
# for: forks without exec, longjmp out of errors
# needs: dash cat sed
# program: dash
cd "$1" || exit 98
dash -c '
trap "x=\$(echo trapped); echo \$x" USR1
nested() { [ "$1" -gt 0 ] && { local value="$1-$2"; eval "v_$1=\$value"; nested $(($1 - 1)) "$value"; }; }
nested 40 a
kill -USR1 $$
echo "$v_1" | sed "s/-.*-/ to /"
while read -r name value; do eval "w_$name=\"\$value\""; done <<X
a first
b second
X
( : "${w_c?is not set}" ) 2>/dev/null || echo "not set"
for i in 0 1 2 3 4 5 6 7 8 9; do x=$(echo "$i" | cat); y="$y$x"; done
echo "$y ${w_a} ${w_b#sec}"
alias say=echo; type say; unalias say; readonly z=1; getopts ab: o -a; echo "$o $z"'
