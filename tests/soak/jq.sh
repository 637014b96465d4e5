# jq: an object of 20,000 keys
# for: deep recursion
# needs: jq
# program: jq
cd "$1" || exit 98
jq -n '[range(20000)] | map({key: tostring, value: .}) | from_entries | to_entries | map(.value) | add'
