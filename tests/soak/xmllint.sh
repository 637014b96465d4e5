# xmllint: a document of 5,000 elements is read, checked and asked by XPath
# for: libxml2, its own dictionaries
# needs: xmllint
# program: xmllint
cd "$1" || exit 98
{ echo '<!DOCTYPE r [<!ELEMENT r (e*)><!ELEMENT e (#PCDATA)><!ATTLIST e n CDATA #REQUIRED>]><r>'; for i in $(seq 5000); do echo "<e n='$i'>x$i</e>"; done; echo '</r>'; } > d.xml
xmllint --valid --noout d.xml && xmllint --xpath 'count(//e[@n mod 7 = 0])' d.xml; echo; xmllint --c14n d.xml | md5sum; xmllint --stream --noout d.xml
