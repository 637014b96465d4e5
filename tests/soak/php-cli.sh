# php-cli: arrays, strings, a regular expression and a sort
# for: own allocator over mmap
# needs: php
# program: php8.2
cd "$1" || exit 98
php -n -r '$a = []; for ($i = 0; $i < 50000; $i++) $a["k" . ($i % 5003)] = str_repeat("x", $i % 100); ksort($a); preg_match_all("/k(1\d+)/", implode(" ", array_keys($a)), $m); echo count($a), " ", count($m[1]), " ", md5(serialize($a)), "\n";'
