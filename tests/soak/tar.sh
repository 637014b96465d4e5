# tar: an archive through gzip and back
# for: a child of a pipe
# needs: tar gzip
# program: tar
cd "$1" || exit 98
mkdir d; for i in $(seq 100); do seq $i > d/$i; done; tar czf - --owner=0 --group=0 --mtime=@0 --sort=name d | tar tzf - | md5sum; tar cf a.tar d; rm -rf d; tar xf a.tar; ls d | wc -l
