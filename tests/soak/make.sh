# make: forty targets by four jobs
# for: vfork, job server
# needs: make
# program: make
# within 2%: in which order its children end
cd "$1" || exit 98
{ printf 'all:'; for i in $(seq 40); do printf ' f%s' $i; done; printf '\nf%%:\n\t@echo $@ > $@; cat $@ | tr f g >> $@\n'; } > Makefile; make -s -j4; cat f* | sort | md5sum
