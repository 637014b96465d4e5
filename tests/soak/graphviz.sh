# graphviz: a graph of 150 nodes by dot and by neato
# for: plugins by dlopen
# needs: dot
# program: libgvc6-config-update
# within 1%: fontconfig writes its cache when it is first asked
cd "$1" || exit 98
awk 'BEGIN { print "digraph g {"; for (i = 1; i < 150; i++) print "n" i " -> n" int(i / 2) ";"; print "}" }' > g; dot -Tplain g | md5sum; dot -Kneato -Tsvg g | grep -c '<title>'
