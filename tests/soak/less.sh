# less: a file is shown page by page to nobody
# for: terminals, a buffer of blocks
# needs: less
# program: less
cd "$1" || exit 98
seq 20000 > a; LESSHISTFILE=- TERM=dumb less -e -X a < /dev/null | md5sum
