# emacs: Lisp: buffers, regular expressions, a byte-compiled function
# for: own garbage collector, portable dump
# needs: emacs
# program: emacs-nox
# within 3%: its collector runs by what it finds on the stack
cd "$1" || exit 98
emacs --batch -Q --eval '(progn (dotimes (i 5000) (insert (format "line %d\n" (* i 7)))) (goto-char 1) (while (re-search-forward "7\\([0-9]\\)" nil t) (replace-match "<\\1>")) (princ (md5 (buffer-string))) (terpri) (princ (funcall (byte-compile (lambda (n) (length (make-list n 1)))) 100)))' 2>/dev/null
