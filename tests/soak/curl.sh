# curl: twenty files by file://, and a multipart upload that is refused
# for: libraries that make threads
# needs: curl
# program: curl
cd "$1" || exit 98
seq 3000 > a; for i in $(seq 20); do curl -s "file://$PWD/a"; done | md5sum; curl -s -F "f=@a" "http://127.0.0.1:1/"; echo $?
