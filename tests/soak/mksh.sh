# mksh: arrays, arithmetic and substitutions
# for: its own areas on top of malloc
# needs: mksh
# program: mksh
# truncated: built without unwind information; readelf --debug-dump=frames shows 3 functions in 248 KB of code
cd "$1" || exit 98
mksh -c 'set -A a; i=0; while (( i < 3000 )); do a[i]=$((i*i)); ((i++)); done; print ${#a[*]} ${a[77]}; for i in 1 2 3 4 5 6 7 8 9; do x=$(print $i); done; print $x'
