// Preloaded into ringpostd: lets one allocation fail, the one that a test names while the server runs.
//
// RINGPOST_FAILING_ALLOCATIONS names a file that holds a Control, mapped by the test as well. Other programs than ringpostd are
// left alone. ringpostd's operator new asks malloc, as wolfSSL and the C library do.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

struct Control {
  std::atomic<std::uint64_t> asked;    ///< allocations so far
  std::atomic<std::uint64_t> fail_at;  ///< the one that fails: 0 none
  std::atomic<std::uint64_t> length;   ///< how many in a row do
  std::atomic<std::uint64_t> failed;   ///< how many did
};

std::atomic<Control*> control = nullptr;

__attribute__((constructor)) void attach() {
  const char* path = std::getenv("RINGPOST_FAILING_ALLOCATIONS");
  if (!path || std::strcmp(program_invocation_short_name, "ringpostd") != 0) return;
  int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* memory = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory != MAP_FAILED) control = static_cast<Control*>(memory);
}

bool fails() {
  Control* now = control.load(std::memory_order_relaxed);
  if (!now) return false;
  std::uint64_t number = now->asked.fetch_add(1) + 1, first = now->fail_at.load();
  if (first == 0 || number < first || number >= first + now->length.load()) return false;
  now->failed.fetch_add(1);
  return true;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void* real_aligned(std::size_t alignment, std::size_t bytes) {
  static auto* real = next<int(void**, std::size_t, std::size_t)>("posix_memalign");
  void* memory = nullptr;
  return real(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

}  // namespace

extern "C" {

void* malloc(std::size_t bytes) {
  static auto* real = next<void*(std::size_t)>("malloc");
  if (fails()) return errno = ENOMEM, nullptr;
  return real(bytes);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  if (fails()) return ENOMEM;
  *memory = real_aligned(alignment, bytes);
  return *memory ? 0 : ENOMEM;
}

void* realloc(void* memory, std::size_t bytes) {
  static auto* real = next<void*(void*, std::size_t)>("realloc");
  if (fails()) return errno = ENOMEM, nullptr;
  return real(memory, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  if (fails()) return errno = ENOMEM, nullptr;
  return real_aligned(alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes);
}
}
