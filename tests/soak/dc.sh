# dc: a stack of 3,000 numbers, multiplied
# for: numbers of any size
# needs: dc
# program: dc
cd "$1" || exit 98
{ seq 3000; echo; for i in $(seq 2999); do echo '*'; done; echo 'd Z p'; } | dc
