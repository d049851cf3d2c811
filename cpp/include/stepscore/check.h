// The two exceptions of the core and the way to raise them.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace stepscore {

// A wrong argument. Python sees stepscore._core.InvalidArgument, a ValueError with the two fields.
struct InvalidArgument : std::invalid_argument {
  InvalidArgument(std::string op_name, std::string argument_name, const std::string& text)
      : std::invalid_argument(text), op(std::move(op_name)), argument(std::move(argument_name)) {}

  std::string op;        // what was called
  std::string argument;  // empty where none is at fault
};

// A device that is missing, or that failed. Python sees stepscore.DeviceError.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

// The argument at fault, where the message does not begin with its name.
struct About {
  const char* argument;
};
constexpr About kNoArgument{""};

// refuse("value_head", "weight", " must ...") says "value_head: weight must ...".
template <class... Parts>
[[noreturn]] void refuse(const char* op, const char* argument, const Parts&... parts) {
  throw InvalidArgument(op, argument, message(op, ": ", argument, parts...));
}
template <class... Parts>
[[noreturn]] void refuse(const char* op, About about, const Parts&... parts) {
  throw InvalidArgument(op, about.argument, message(op, ": ", parts...));
}

// Refuses unless the condition holds. `argument`: its name, or About.
template <class Argument, class... Parts>
void check(bool condition, const char* op, Argument argument, const Parts&... parts) {
  if (!condition) refuse(op, argument, parts...);
}

}  // namespace stepscore
