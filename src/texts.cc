#include "texts.h"

namespace stepscore {

Texts::Texts(const char* op, const Strings& texts, const char* argument) {
  views_.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    PyObject* text = PyTuple_GET_ITEM(texts.ptr(), static_cast<Py_ssize_t>(i));
    if (text == Py_None) {
      views_.emplace_back();
      continue;
    }
    if (!PyUnicode_Check(text)) {
      throw py::type_error(message(op, ": ", argument, "[", i, "] must be a str or None; got ",
                                   Py_TYPE(text)->tp_name));
    }
    Py_ssize_t size = 0;
    if (const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size)) {
      views_.emplace_back(utf8, static_cast<size_t>(size));
      continue;
    }
    PyErr_Clear();
    PyObject* bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (bytes == nullptr) throw py::error_already_set();
    encoded_.push_back(py::reinterpret_steal<py::object>(bytes));
    views_.emplace_back(PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes)));
  }
}

std::vector<std::string_view> views_of(const char* op, const Lines& lines, int64_t start,
                                       int64_t stop) {
  const auto count = static_cast<int64_t>(lines.size());
  check(start >= 0 && start <= stop && stop <= count, op, "start",
        " and stop must be places in the ", count, " lines, in this order; got ", start, " and ",
        stop);
  std::vector<std::string_view> views;
  views.reserve(static_cast<size_t>(stop - start));
  for (int64_t i = start; i < stop; ++i) {
    PyObject* line = PyTuple_GET_ITEM(lines.ptr(), static_cast<Py_ssize_t>(i));
    if (!PyBytes_Check(line)) {
      throw py::type_error(
          message(op, ": lines[", i, "] must be bytes; got ", Py_TYPE(line)->tp_name));
    }
    views.emplace_back(PyBytes_AS_STRING(line), static_cast<size_t>(PyBytes_GET_SIZE(line)));
  }
  return views;
}

}  // namespace stepscore
