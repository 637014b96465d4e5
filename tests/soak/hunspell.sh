# hunspell: 1,000 words are checked
# for: C++, big tables
# needs: hunspell
# program: hunspell
cd "$1" || exit 98
export LC_ALL=C.UTF-8 HOME=$PWD; for i in $(seq 250); do echo "memory leek shoud allocate"; done | hunspell -d en_US -l | sort | uniq -c
