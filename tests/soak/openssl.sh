# openssl: a key, a certificate, a signature, and a checksum
# for: tables at start, atexit handlers
# needs: openssl
# program: openssl
# within 2%: looking for primes takes as many tries as it takes
cd "$1" || exit 98
openssl ecparam -name prime256v1 -genkey -noout -out k && openssl req -x509 -key k -subj /CN=a -days 9 -out c 2>/dev/null && seq 1000 > a && openssl dgst -sha256 -sign k -out s a && openssl x509 -pubkey -noout -in c > p && openssl dgst -sha256 -verify p -signature s a; openssl dgst -sha512 a
