# unzip: an archive of 100 files
# for: a child for nothing
# needs: zip unzip
# program: zip
cd "$1" || exit 98
mkdir d; for i in $(seq 100); do seq $i > d/$i; done; zip -qrX a.zip d; rm -r d; unzip -q a.zip; cat d/* | md5sum; rm a.zip
