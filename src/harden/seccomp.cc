#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "ringpost/harden/sandbox.hh"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RP_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RP_SANITIZED 1
#endif

namespace ringpost::harden {

namespace {

/// What no process of ours has a reason to call after its start: who does is not us any more.
constexpr int kAttacks[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(process_madvise),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(memfd_secret),
    SCMP_SYS(kcmp),
#ifndef RP_SANITIZED  // the leak checker traces its own process at the end
    SCMP_SYS(ptrace),
#endif
};

constexpr int kAllowed[] = {
    // memory (mmap and mprotect: below)
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(msync),
    SCMP_SYS(mincore),
    // threads, signals, the end
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(membarrier),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(signalfd4),
    SCMP_SYS(tgkill),
    SCMP_SYS(tkill),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(prctl),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(prlimit64),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    // time and randomness
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    // the ring that is there already, and waiting
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(eventfd2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(pipe2),
    // files: which ones is Landlock's business
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(lseek),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(sync_file_range),
    SCMP_SYS(ftruncate),
    SCMP_SYS(truncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fadvise64),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    SCMP_SYS(fcntl),
    SCMP_SYS(flock),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(umask),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(memfd_create),
    // sockets (making one: below)
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
#ifdef RP_SANITIZED
    SCMP_SYS(ptrace),
    SCMP_SYS(personality),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(clone),
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(socketpair),
#endif
};

scmp_arg_cmp argument_is(unsigned number, int value) { return {number, SCMP_CMP_EQ, static_cast<scmp_datum_t>(value), 0}; }
/// The bits of `mask` are `value`.
[[maybe_unused]] scmp_arg_cmp argument_has(unsigned number, int mask, int value) {
  return {number, SCMP_CMP_MASKED_EQ, static_cast<scmp_datum_t>(mask), static_cast<scmp_datum_t>(value)};
}

/// Collects rules and remembers the first failure.
class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_ERRNO(EPERM)), &::seccomp_release) { failed_ = context_ ? 0 : -ENOMEM; }

  template <typename... Conditions>
  void add(std::uint32_t action, int call, Conditions... conditions) {
    if (call < 0) return;  // this architecture does not have it
    const scmp_arg_cmp arguments[sizeof...(conditions) + 1] = {conditions...};
    keep(::seccomp_rule_add_array(context_.get(), action, call, sizeof...(conditions), arguments));
  }
  void set(scmp_filter_attr attribute, std::uint32_t value) { keep(::seccomp_attr_set(context_.get(), attribute, value)); }
  Result<> load() {
    if (failed_ == 0) keep(::seccomp_load(context_.get()));
    if (failed_ == 0) return {};
    return std::unexpected(failed_ == -EINVAL || failed_ == -ENOSYS ? Error{Errc::unsupported, -failed_}
                                                                    : error_from_errno(-failed_));
  }

 private:
  void keep(int result) {
    if (failed_ == 0) failed_ = result;
  }
  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
  int failed_ = 0;
};

}  // namespace

Result<> restrict_calls(Role role, OnAttack on_attack) {
  Filter filter;
  filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
  if (on_attack == OnAttack::kill)
    for (int call : kAttacks) filter.add(SCMP_ACT_KILL_PROCESS, call);
  for (int call : kAllowed) filter.add(SCMP_ACT_ALLOW, call);
#ifndef RP_SANITIZED
  // Threads, but no processes. clone3 hides its flags in memory: told that it is unknown, glibc takes clone.
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), argument_has(0, CLONE_THREAD, CLONE_THREAD));
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) filter.add(SCMP_ACT_ALLOW, call, argument_has(2, PROT_EXEC, 0));
#endif
  filter.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(socket), argument_is(0, AF_UNIX));
  for (int request : {TCGETS, FIONREAD, FIONBIO}) filter.add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), argument_is(1, request));
  if (role == Role::outward) filter.add(SCMP_ACT_ALLOW, SCMP_SYS(socketpair), argument_is(0, AF_UNIX));  // how libcurl wakes itself
  if (role != Role::helper)
    for (int family : {AF_INET, AF_INET6}) filter.add(SCMP_ACT_ALLOW, SCMP_SYS(socket), argument_is(0, family));
  return filter.load();
}

}  // namespace ringpost::harden
