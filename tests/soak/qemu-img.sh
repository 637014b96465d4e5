# qemu-img: images are made, converted, compressed and compared
# for: coroutines on stacks of their own
# needs: qemu-img
# program: qemu-img
# within 10%: its coroutines are taken from a pool, which threads fill, and each that is made anew is an allocation
cd "$1" || exit 98
qemu-img create -q -f qcow2 a.qcow2 64M && seq 100000 | dd of=raw bs=64k conv=sync status=none && qemu-img convert -c -O qcow2 raw b.qcow2 && qemu-img check -q b.qcow2; echo $?
qemu-img compare raw b.qcow2; qemu-img info --output=json b.qcow2 | grep -c virtual-size
