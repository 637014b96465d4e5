# xmlstarlet: a document selected from, edited and checked
# for: tables made at start
# needs: xmlstarlet
# program: xmlstarlet
cd "$1" || exit 98
{ echo '<all>'; i=0; while [ $i -lt 1000 ]; do echo "<one id='n$i'>$((i * 7919 % 1009))</one>"; i=$((i + 1)); done; echo '</all>'; } >in.xml
xmlstarlet sel -t -v 'count(//one[. > 500])' -n in.xml
xmlstarlet ed -u '//one[@id="n7"]' -v changed -d '//one[position() > 20]' in.xml | tail -n 3
xmlstarlet val -w in.xml
xmlstarlet el in.xml | sort | uniq -c
