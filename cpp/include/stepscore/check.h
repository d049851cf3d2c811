// The two exceptions of the core and the way to raise them.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace stepscore {

// A wrong argument. Python sees ValueError.
struct InvalidArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
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

template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) throw InvalidArgument(message(parts...));
}

}  // namespace stepscore
