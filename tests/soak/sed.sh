# sed: a text of 100,000 lines is edited in place and by script
# for: regular expressions, files by name
# needs: sed
# program: sed
cd "$1" || exit 98
seq 100000 > text; sed -i -E 's/([0-9])([0-9])$/\2\1/; /7/!d' text; sed -n '$=' text; sed -n '1~500{s/./&&/g;p}' text | md5sum
