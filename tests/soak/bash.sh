# bash: arrays, substitutions, pipes and 200 subshells
# for: forks without exec
# needs: bash
# program: bash
cd "$1" || exit 98
bash -c 'a=(); for i in {1..2000}; do a+=("x$i"); done; for i in {1..200}; do b=$(echo ${a[i]}; exit 3); done; echo ${#a[@]} $b | cat; echo $(( ${#a[*]} * 2 ))'
