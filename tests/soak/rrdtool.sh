# rrdtool: a round-robin archive is filled and drawn
# for: plugins of pango, threads
# needs: rrdtool
# program: rrdtool
cd "$1" || exit 98
export HOME=$PWD; rrdtool create a.rrd --start 1000000000 --step 60 DS:x:GAUGE:120:0:U RRA:AVERAGE:0.5:1:500 RRA:MAX:0.5:10:50
rrdtool update a.rrd $(for i in $(seq 300); do echo "$((1000000000+i*60)):$((i%17))"; done); rrdtool fetch a.rrd AVERAGE -s 1000000060 -e 1000018000 | md5sum
