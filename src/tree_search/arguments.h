// What the verbs of TreeSearch are given: arrays with their shapes checked, and texts.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings.h"

namespace stepscore {

// Python converts; here an array of another type is an error.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
using OptionalArray = std::optional<Array<T>>;

template <class T>
const T* items(const char* verb, const char* argument, const Array<T>& array, int64_t size) {
  check(array.ndim() == 1 && array.size() == size, verb, argument, " must have shape [", size,
        "]; got ", array.ndim(), " dimension(s) and ", array.size(), " item(s)");
  return array.data();
}

template <class T>
const T* items_or_null(const char* verb, const char* argument, const OptionalArray<T>& array,
                       int64_t size) {
  return array.has_value() ? items(verb, argument, *array, size) : nullptr;
}

template <class T>
int64_t length(const char* verb, const char* argument, const Array<T>& array) {
  check(array.ndim() == 1, verb, argument, " must have 1 dimension; got ", array.ndim());
  return array.size();
}

inline const int64_t* checked_offsets(const char* verb, const char* argument, const char* what,
                                      const Array<int64_t>& offsets, int64_t segments) {
  const int64_t* begin = items(verb, argument, offsets, segments + 1);
  check(begin[0] == 0, verb, argument, " must begin at 0; got ", begin[0]);
  for (int64_t i = 0; i < segments; ++i) {
    check(begin[i + 1] >= begin[i], verb, argument, " must not decrease; ", argument, "[", i + 1,
          "] is ", begin[i + 1], " after ", begin[i], " (", what, ")");
  }
  return begin;
}

template <class T>
Array<T> copied(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The UTF-8 of strings, one after the other.
struct Steps {
  std::string bytes;
  std::vector<int64_t> offsets{0};

  explicit Steps(const py::tuple& texts) {
    offsets.reserve(texts.size() + 1);
    for (size_t i = 0; i < texts.size(); ++i) {
      append(PyTuple_GET_ITEM(texts.ptr(), static_cast<Py_ssize_t>(i)), i);
      offsets.push_back(static_cast<int64_t>(bytes.size()));
    }
  }

 private:
  void append(PyObject* text, size_t i) {
    if (!PyUnicode_Check(text)) {
      throw py::type_error(
          message("tell_expand: texts[", i, "] must be a str; got ", Py_TYPE(text)->tp_name));
    }
    Py_ssize_t size = 0;
    if (const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size)) {
      bytes.append(utf8, static_cast<size_t>(size));
      return;
    }
    PyErr_Clear();  // half a surrogate pair
    const auto encoded = py::reinterpret_steal<py::object>(
        PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass"));
    if (!encoded) throw py::error_already_set();
    bytes.append(PyBytes_AS_STRING(encoded.ptr()),
                 static_cast<size_t>(PyBytes_GET_SIZE(encoded.ptr())));
  }
};

}  // namespace stepscore
