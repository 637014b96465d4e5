# tmux: a server, two windows, keys sent, a pane captured
# for: double-forked daemon, closes descriptors
# needs: tmux
# program: tmux
# within 10%: it redraws by time
cd "$1" || exit 98
export TERM=screen; unset TMUX
tmux -S "$PWD/sock" -f /dev/null new-session -d -x 80 -y 24 'cat' || exit 1
tmux -S sock new-window -d 'cat' && tmux -S sock send-keys -t 0 'hello there' Enter
until tmux -S sock capture-pane -p -t 0 | grep -c 'hello there' | grep -q 2; do :; done
tmux -S sock list-windows -F '#{window_index} #{window_panes}'; tmux -S sock kill-server; rm -f sock
