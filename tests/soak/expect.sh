# expect: a dialogue with a shell on a pseudo-terminal
# for: pseudo-terminals, Tcl inside, a started child
# needs: expect
# program: expect
# within 5%: in how many pieces the terminal's output arrives
cd "$1" || exit 98
cat >script <<'X'
log_user 0
set timeout -1
spawn sh -c {read a; echo "got:$a:"; read b; echo "and:$b:"}
send "one\r"
expect -re {got:([a-z]+):}
puts $expect_out(1,string)
send "two\r"
expect -re {and:([a-z]+):}
puts $expect_out(1,string)
expect eof
X
expect script
