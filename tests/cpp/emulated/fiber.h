// A stack that can be left and entered again: what a CUDA thread is in the emulation.
#pragma once

#include <cstddef>
#include <functional>

namespace emulated {

class Fiber {
 public:
  explicit Fiber(std::function<void()> body);  // which never returns
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();  // runs the body until it pauses
  void pause();   // from within the body: back to where it was resumed

 private:
  struct Stack {
    void* base = nullptr;  // lowest address
    size_t bytes = 0;
  };
  struct Context;

  static void begin();
  void leave(Context& from, Context& to, const Stack& there);

  std::function<void()> body_;
  Stack own_, resumer_;
  Context* inside_;
  Context* outside_;
};

}  // namespace emulated
