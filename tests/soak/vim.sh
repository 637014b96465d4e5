# vim: substitutions, undo and a macro, without a terminal
# for: signal handlers, own stack check
# needs: vim
# program: vim.basic
# within 1%: it asks its terminal with time limits
cd "$1" || exit 98
seq 3000 > text
vim -u NONE -i NONE -n -es text -c '%s/\(1\)\(2\)/<\2\1>/g' -c 'g/3/normal A!' -c 'undo' -c 'redo' -c 'wq' </dev/null; md5sum < text
