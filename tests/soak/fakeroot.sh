# fakeroot: files are owned by whom they are not
# for: another preload, behind and in front of ours
# needs: fakeroot
# program: faked-sysv
cd "$1" || exit 98
fakeroot -- sh -c 'touch a; chown 12:34 a; stat -c %u:%g a; for i in $(seq 50); do touch "f$i"; chown "$i" "f$i"; done; stat -c %u f17'
