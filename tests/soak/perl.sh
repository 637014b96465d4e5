# perl: hashes, regular expressions, forked children and a pipe
# for: forks, own arenas
# needs: perl
# program: perl
cd "$1" || exit 98
perl -e 'my %h; $h{$_ % 701} .= "x$_" for 1..50000; for my $n (1..5) { my $p = fork; if (!$p) { my @a = map { "c$_" } 1..1000; exit scalar(@a) % 7 } waitpid $p, 0; print $? >> 8, "\n" } print scalar(keys %h), "\n"; open P, "-|", "echo sub"; print <P>;'
