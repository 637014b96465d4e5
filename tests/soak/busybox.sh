# busybox: a shell script of its own applets
# for: forks without exec
# needs: busybox
# program: busybox
# truncated: Debian builds it without unwind information
cd "$1" || exit 98
busybox sh -c 'i=0; while [ $i -lt 100 ]; do x=$(echo $i | busybox sed s/1/one/); i=$((i + 1)); done; echo $x; seq 1000 | busybox awk "{ s += \$1 } END { print s }"; busybox tar c . | busybox gzip | busybox wc -l | busybox grep -c .'
