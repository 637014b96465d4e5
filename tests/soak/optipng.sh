# optipng: a picture is packed anew in 24 ways
# for: large blocks
# needs: convert optipng
# program: optipng
cd "$1" || exit 98
convert -size 300x200 gradient:black-white -strip a.png && optipng -quiet -o5 a.png && convert a.png rgb:- | md5sum
