#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "sanitizers.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulated {
namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr size_t kGuardBytes = 64 * 1024;  // a multiple of every page size; an overflow faults

// begin() takes no argument: the fiber that is entered for the first time.
Fiber* entered = nullptr;

}  // namespace

// Millions of switches per test: swapcontext() would ask the kernel for the signal mask at each.
#if defined(__x86_64__)

struct Fiber::Context {
  void* stack_pointer = nullptr;
};

extern "C" void emulated_switch_stack(void** save, void* to);
asm(R"(
  .text
  .type emulated_switch_stack, @function
emulated_switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
  .size emulated_switch_stack, . - emulated_switch_stack
)");

namespace {

// A stack as emulated_switch_stack leaves one: six registers, then where to return to. The word
// above keeps the alignment that a function expects at its entry.
void* prepared(void* base, size_t bytes, void (*entry)()) {
  auto* top = reinterpret_cast<uintptr_t*>(static_cast<char*>(base) + bytes);
  top[-1] = 0;
  top[-2] = reinterpret_cast<uintptr_t>(entry);
  for (int i = 3; i <= 8; ++i) top[-i] = 0;
  return top - 8;
}

}  // namespace

#else

struct Fiber::Context {
  ucontext_t registers{};
};

#endif

Fiber::Fiber(std::function<void()> body)
    : body_(std::move(body)), inside_(new Context), outside_(new Context) {
  void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0) {
    std::perror("emulated CUDA: no memory for a thread's stack");
    std::abort();
  }
  own_ = {static_cast<char*>(memory) + kGuardBytes, kStackBytes};
#if defined(__x86_64__)
  inside_->stack_pointer = prepared(own_.base, own_.bytes, begin);
#else
  getcontext(&inside_->registers);
  inside_->registers.uc_stack.ss_sp = own_.base;
  inside_->registers.uc_stack.ss_size = own_.bytes;
  makecontext(&inside_->registers, begin, 0);
#endif
}

Fiber::~Fiber() {
  munmap(static_cast<char*>(own_.base) - kGuardBytes, kGuardBytes + own_.bytes);
  delete inside_;
  delete outside_;
}

void Fiber::begin() {
  Fiber* fiber = entered;
  finish_switch(nullptr, &fiber->resumer_.base, &fiber->resumer_.bytes);
  fiber->body_();
  std::abort();  // there is nothing to return to
}

void Fiber::leave(Context& from, Context& to, const Stack& there) {
  void* frames = nullptr;
  start_switch(&frames, there.base, there.bytes);
#if defined(__x86_64__)
  emulated_switch_stack(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.registers, &to.registers);
#endif
  const bool outside = &from == outside_;
  void* unused_base = nullptr;
  size_t unused_bytes = 0;
  finish_switch(frames, outside ? &unused_base : &resumer_.base,
                outside ? &unused_bytes : &resumer_.bytes);
}

void Fiber::resume() {
  entered = this;
  leave(*outside_, *inside_, own_);
}

void Fiber::pause() {
  leave(*inside_, *outside_, resumer_);
}

}  // namespace emulated
