#include "stepscore/answer_key.h"

#include "texts.h"

namespace stepscore {
namespace {

py::object to_python(std::string_view text) {
  PyObject* made =
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogatepass");
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

Holds holds(bool extract) {
  return extract ? Holds::kSolution : Holds::kAnswer;
}

StringList bound_answer_keys(const Strings& texts, bool extract) {
  const Texts views("answer_keys", texts);
  std::vector<std::string> keys(texts.size());
  {
    // Only the strings' bytes below; the tuple holds the strings and outlives the scope.
    py::gil_scoped_release unlocked;
    answer_keys(views.data(), views.size(), holds(extract), keys.data());
  }
  StringList out(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    py::object key = keys[i].empty() ? py::none() : to_python(keys[i]);
    PyList_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), key.release().ptr());
  }
  return out;
}

StringList bound_extract_answers(const Strings& texts) {
  const Texts views("extract_answers", texts);
  std::vector<std::string> answers(texts.size());
  {
    // Only the strings' bytes below; the tuple holds the strings and outlives the scope.
    py::gil_scoped_release unlocked;
    extract_answers(views.data(), views.size(), answers.data());
  }
  StringList out(answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    py::object answer = answers[i].empty() ? py::none() : to_python(answers[i]);
    PyList_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), answer.release().ptr());
  }
  return out;
}

// places: None where every candidate has a text of its own.
void bound_group_answers(const Strings& texts, const std::optional<TensorView>& places,
                         const TensorView& offsets, bool extract, const TensorView& ids,
                         const TensorView& decided) {
  const Texts views("group_answers", texts);
  const int64_t* text_of = nullptr;
  int64_t n = views.size();
  if (places.has_value()) {
    check_view("group_answers", "places", *places, 1, {DType::kInt64});
    text_of = pointer<const int64_t>(*places);
    n = places->shape[0];
    for (int64_t i = 0; i < n; ++i) {
      check(text_of[i] >= -1 && text_of[i] < views.size(), "group_answers", "places", "[", i,
            "] must lie in [-1, ", views.size(), "), for the places in texts; got ", text_of[i]);
    }
  }
  const char* const what = places.has_value() ? "places" : "texts";
  const int64_t problems = check_offsets("group_answers", offsets, what, n);
  for (const auto& [argument, view] : {std::pair{"ids", &ids}, std::pair{"decided", &decided}}) {
    check_view("group_answers", argument, *view, 1, {DType::kInt64});
    check(view->shape[0] == n, "group_answers", argument, " must have shape [", n, "]; got ",
          shape_of(*view));
  }
  // Only raw pointers below; the tuple and the arrays outlive the scope.
  py::gil_scoped_release unlocked;
  group_answers(views.data(), views.size(), text_of, pointer<const int64_t>(offsets), problems,
                holds(extract), pointer<int64_t>(ids), pointer<Decided>(decided));
}

}  // namespace

void bind_answer_key(py::module_& module) {
  module.def("answer_keys", bound_answer_keys, py::arg("texts"), py::arg("extract"));
  module.def("extract_answers", bound_extract_answers, py::arg("texts"));
  module.def("group_answers", bound_group_answers, py::arg("texts"), py::arg("places").none(true),
             py::arg("offsets"), py::arg("extract"), py::arg("ids"), py::arg("decided"));
}

}  // namespace stepscore
