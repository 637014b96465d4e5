# units: conversions by a table of 3,000 units
# for: hash tables
# needs: units
# program: units
cd "$1" || exit 98
export HOME=$PWD; for i in $(seq 50); do units -t "$i miles" km; done | md5sum; units -t 'tempC(37)' tempF
