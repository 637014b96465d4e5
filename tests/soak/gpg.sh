# gpg: a file encrypted by a passphrase, decrypted, and its digests
# for: secure memory of its own, locked, a started daemon
# needs: gpg gpgconf
# program: gpg
cd "$1" || exit 98
mkdir -m 700 home; GNUPGHOME=$PWD/home; export GNUPGHOME
seq 2000 >plain
gpg --batch --quiet --pinentry-mode loopback --passphrase words --s2k-count 65536 -o cipher -c plain 2>&1
gpg --batch --quiet --pinentry-mode loopback --passphrase words -d cipher 2>&1 | cmp - plain && echo same
gpg --batch --print-md SHA256 plain
gpgconf --kill gpg-agent
rm -rf home cipher
