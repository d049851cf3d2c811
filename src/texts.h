// Texts and bytes of Python as views, for ops over text.
#pragma once

#include <pybind11/typing.h>

#include <string_view>
#include <vector>

#include "bindings.h"

namespace stepscore {

using StringOrNone = py::typing::Optional<py::str>;
using Strings = py::typing::Tuple<StringOrNone, py::ellipsis>;
using StringList = py::typing::List<StringOrNone>;
using Lines = py::typing::Tuple<py::bytes, py::ellipsis>;

// The UTF-8 of Python's strings, which the tuple keeps alive. Python keeps it with the string, so
// for ASCII it is a pointer; only a string with half a surrogate pair has to be encoded here.
class Texts {
 public:
  Texts(const char* op, const Strings& texts, const char* argument = "texts");
  const std::string_view* data() const { return views_.data(); }
  int64_t size() const { return static_cast<int64_t>(views_.size()); }

 private:
  std::vector<std::string_view> views_;
  std::vector<py::object> encoded_;
};

// lines[start] to lines[stop - 1].
std::vector<std::string_view> views_of(const char* op, const Lines& lines, int64_t start,
                                       int64_t stop);

}  // namespace stepscore
