# rsync: a tree to another, twice, with deletions
# for: forks into sender, generator and receiver
# needs: rsync
# program: rsync
# within 3%: how much its three processes send at once
cd "$1" || exit 98
mkdir a; for i in $(seq 200); do seq $i > a/$i; done; rsync -a a/ b/; rm a/1*; echo new > a/new; rsync -a --delete --checksum a/ b/; ls b | wc -l; cat b/* | md5sum
