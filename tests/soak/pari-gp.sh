# pari-gp: factors, primes and a class number
# for: its own stack of numbers
# needs: gp
# program: gp-2.15
cd "$1" || exit 98
export HOME=$PWD; printf 'print(factor(2^101-1))\nprint(vecsum(primes(5000)))\nprint(quadclassunit(-100003).no)\nprint(ellap(ellinit([0,0,1,-1,0]),10007))\n' | gp -q -f
