# java: the version and the settings of the virtual machine
# for: JIT, threads, own heap
# needs: java
# program: java
# within 5%: its compiler and collector run on other threads
# truncated: code that the virtual machine made has no unwind information
cd "$1" || exit 98
java -version 2>&1 | grep -c build; java -XX:+PrintFlagsFinal -version 2>/dev/null | grep -c UseCompressedOops
