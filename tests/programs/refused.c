//! Runs a command for which the kernel refuses to map more than so many bytes that need not be backed at once (MAP_NORESERVE): refused.c BYTES COMMAND…
//! What a system does that backs all memory that is asked for (vm.overcommit_memory=2), when it has no more.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOW(n) (offsetof(struct seccomp_data, args) + 8 * (n))

int main(int count, char **words) {
  unsigned most = strtoul(words[1], NULL, 10);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW(3)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_NORESERVE, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW(1)),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, most, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 99;
  execv(words[2], words + 2);
  return 98;
}
