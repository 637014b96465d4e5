# dpkg-deb: a package built, listed and unpacked
# for: pipelines of forked children, threads of xz
# needs: dpkg-deb
# program: dpkg-deb
cd "$1" || exit 98
mkdir -p tree/DEBIAN tree/usr/share/doc/x
printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n' >tree/DEBIAN/control
seq 5000 >tree/usr/share/doc/x/numbers
dpkg-deb --root-owner-group -b tree x.deb
dpkg-deb -f x.deb Package Version
dpkg-deb -c x.deb | wc -l
dpkg-deb -x x.deb out
cmp out/usr/share/doc/x/numbers tree/usr/share/doc/x/numbers && echo same
rm -rf out tree x.deb
