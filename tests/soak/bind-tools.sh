# bind-tools: dig, asking a port where nobody listens
# for: threads, own memory contexts
# needs: dig
# program: dig
# within 2%: its threads and its time-outs
cd "$1" || exit 98
dig -p 1 @127.0.0.1 +tries=1 +time=1 example.com > out; echo $?; grep -c 'no servers\|refused' out; rm out
