# zsh: arrays, globs, a pipeline of functions and a module
# for: modules by dlopen, forks
# needs: zsh
# program: zsh
cd "$1" || exit 98
zsh -f -c 'zmodload zsh/mathfunc; typeset -A h; for i in {1..3000}; do h[k$i]=$(( int(sqrt(i)) )); done; f() { while read l; do print -r -- "<$l>"; done }; print -l ${(k)h[(R)7]} | sort | f | f; print ${#h}'
