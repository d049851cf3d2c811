#include "stepscore/record_scan.h"

#include <pybind11/numpy.h>

#include "texts.h"

namespace stepscore {
namespace {

py::object to_python(const std::string& text) {
  return py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
}

py::object to_python(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kText:
      return to_python(value.text);
    case JsonValue::Kind::kInteger:
      return py::int_(value.integer);
    case JsonValue::Kind::kReal:
      return py::float_(value.real);
    case JsonValue::Kind::kNull:
      break;
  }
  return py::none();
}

template <class Value>
py::list list_of(const std::vector<Value>& values) {
  py::list list(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    py::object value = to_python(values[i]);
    if (!value) throw py::error_already_set();
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), value.release().ptr());
  }
  return list;
}

template <class T>
py::array_t<T> array_of(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::tuple bound_scan_records(const Lines& lines, int64_t start, int64_t stop, const std::string& id,
                             const std::string& problem, const std::string& candidates,
                             const std::string& answer, const std::string& result, bool steps,
                             bool given, bool bounded, int64_t most) {
  const std::vector<std::string_view> views = views_of("scan_records", lines, start, stop);
  RecordScan scan;
  {
    // Only the bytes below; the tuple holds them and outlives the scope.
    py::gil_scoped_release unlocked;
    scan = scan_records(views.data(), static_cast<int64_t>(views.size()),
                        {id, problem, candidates, answer, result}, {steps, given, bounded}, most);
  }
  return py::make_tuple(list_of(scan.ids), list_of(scan.known), array_of(scan.offsets),
                        array_of(scan.step_scores), array_of(scan.step_offsets),
                        array_of(scan.scores), array_of(scan.correct), array_of(scan.answer),
                        list_of(scan.answers), array_of(scan.solution), list_of(scan.solutions));
}

}  // namespace

void bind_record_scan(py::module_& module) {
  module.def("scan_records", bound_scan_records, py::arg("lines"), py::arg("start"),
             py::arg("stop"), py::arg("id"), py::arg("problem"), py::arg("candidates"),
             py::arg("answer"), py::arg("result"), py::arg("steps"), py::arg("given"),
             py::arg("bounded"), py::arg("most"));
}

}  // namespace stepscore
