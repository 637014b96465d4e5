# screen: a detached session, a command in it, its screen as a file
# for: setuid or setgid by distribution, daemon
# needs: screen
# program: screen
# uncounted: how often its clients have to ask depends on time
cd "$1" || exit 98
export SCREENDIR=$PWD/s TERM=screen; mkdir -m 700 s
screen -dmS soak cat; until screen -S soak -Q select . >/dev/null 2>&1; do :; done
screen -S soak -X stuff 'hello there
'; until screen -S soak -X hardcopy "$PWD/copy" && grep -c 'hello there' copy 2>/dev/null | grep -q 2; do :; done; screen -S soak -X quit; grep -c 'hello there' copy
