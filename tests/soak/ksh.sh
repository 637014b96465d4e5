# ksh: arrays, arithmetic and patterns
# for: its own allocator library on top of malloc
# needs: ksh93
# program: ksh93
cd "$1" || exit 98
ksh93 -c 'typeset -A a; for ((i=0;i<3000;i++)); do a[k$i]=$((i*i)); done; print ${#a[@]} ${a[k77]}; for i in {1..100}; do x=$(print $i); done; print $x; [[ abc123 == +([a-z])+([0-9]) ]] && print yes'
