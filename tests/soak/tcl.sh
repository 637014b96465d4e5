# tcl: strings, arrays, and a thousand events
# for: own allocator for small objects
# needs: tclsh
# program: tclsh8.6
cd "$1" || exit 98
echo 'for {set i 0} {$i < 5000} {incr i} {set a($i) [string repeat x [expr $i % 300]]}; set n 0; for {set i 0} {$i < 1000} {incr i} {after 0 {incr n}}; while {$n < 1000} {vwait n}; puts "[array size a] $n [string length [array get a]]"' | tclsh
