# git: a repository of 60 commits, a merge, gc and a clone
# for: short children, pack threads
# needs: git
# program: git
# within 2%: threads that pack share their work by time
cd "$1" || exit 98
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.c GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.c GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git init -q -b main r && cd r && for n in $(seq 60); do echo $n >> counted; git add counted; git commit -q -m "commit $n"; done
git checkout -q -b side HEAD~5 && echo s > side && git add side && git commit -qm side && git checkout -q main && git merge -q -m merged side
git gc -q 2>/dev/null; cd .. && git clone -q r s 2>/dev/null && git -C s log --stat | md5sum && git -C s fsck 2>&1 | grep -c dangling
rm -rf r s
