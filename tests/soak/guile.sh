# guile: lists, closures, strings and exceptions
# for: Boehm's collector: scans stacks and data
# needs: guile
# program: guile
# within 5%: its collector's marker threads
# truncated: code that it compiled just in time has no unwind information
cd "$1" || exit 98
guile --no-auto-compile -c '(define (f n) (if (= n 0) (quote ()) (cons (number->string n) (f (- n 1))))) (display (length (f 20000))) (newline) (display (catch #t (lambda () (car 1)) (lambda (k . r) k))) (newline) (gc)'
