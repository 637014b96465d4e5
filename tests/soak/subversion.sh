# subversion: a repository with 20 revisions
# for: APR's pools, SQLite
# needs: svn svnadmin
# program: svn
cd "$1" || exit 98
export HOME=$PWD; svnadmin create r && svn -q co "file://$PWD/r" w && cd w || exit 1; for i in $(seq 20); do seq "$i" 500 > f; svn -q add --force f; svn -q ci -m "$i"; done
svn -q up; svn log -q | grep -c '^r'; svn cat -r 7 f | md5sum; svn blame f | awk '{print $1}' | sort | uniq -c | sort -n | tail -1
