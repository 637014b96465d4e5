# ecl: Lisp that calls itself, and strings
# for: a conservative collector that scans stacks
# needs: ecl
# program: ecl
cd "$1" || exit 98
export HOME=$PWD; ecl --norc --eval '(progn (defun f (n) (if (< n 2) n (+ (f (- n 1)) (f (- n 2))))) (print (f 18)) (let ((s (loop for i below 3000 collect (format nil "~a" i)))) (print (length s))) (ext:quit 0))'
