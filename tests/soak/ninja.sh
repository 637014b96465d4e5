# ninja: 500 files are made by rules, then none
# for: children by the hundred
# needs: ninja
# program: ninja
cd "$1" || exit 98
{ echo 'rule cp'; echo ' command = cp $in $out'; for i in $(seq 200); do echo "build out$i: cp in"; done; } > build.ninja; echo x > in; ninja -j1 --quiet && ls out* | wc -l; ninja -j1 | tail -1
