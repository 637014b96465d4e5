# cpio: a tree becomes an archive and a tree again
# for: files by name
# needs: cpio
# program: cpio
cd "$1" || exit 98
mkdir a b; for i in $(seq 500); do seq "$i" > "a/$i"; done
(cd a && ls | sort -n | cpio -o -H newc --quiet --reproducible > ../x.cpio) && (cd b && cpio -i --quiet < ../x.cpio) && diff -r a b && ls b | wc -l
