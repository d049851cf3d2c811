#include <pybind11/numpy.h>
#include <pybind11/typing.h>

#include <array>
#include <memory>
#include <mutex>
#include <string_view>

#include "bindings.h"
#include "stepscore/tree_search.h"

namespace stepscore {
namespace {

// Python converts; here an array of another type is an error.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
using OptionalArray = std::optional<Array<T>>;

template <class T>
const T* items(const char* verb, const char* argument, const Array<T>& array, int64_t size) {
  check(array.ndim() == 1 && array.size() == size, verb, ": ", argument, " must have shape [", size,
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
  check(array.ndim() == 1, verb, ": ", argument, " must have 1 dimension; got ", array.ndim());
  return array.size();
}

const int64_t* checked_offsets(const char* verb, const char* argument, const char* what,
                               const Array<int64_t>& offsets, int64_t segments) {
  const int64_t* begin = items(verb, argument, offsets, segments + 1);
  check(begin[0] == 0, verb, ": ", argument, " must begin at 0; got ", begin[0]);
  for (int64_t i = 0; i < segments; ++i) {
    check(begin[i + 1] >= begin[i], verb, ": ", argument, " must not decrease; ", argument, "[",
          i + 1, "] is ", begin[i + 1], " after ", begin[i], " (", what, ")");
  }
  return begin;
}

constexpr const char* kRules[] = {"puct", "muzero", "uct", "gumbel"};
constexpr const char* kPriors[] = {"one", "exp", "softmax", "softmax_of_value"};
constexpr const char* kUnvisited[] = {"zero", "parent", "least", "value", "bonus", "first"};
constexpr const char* kBackups[] = {"mean", "max", "weighted"};
constexpr const char* kBackupsFrom[] = {"leaf", "best_child", "children", "rollout"};
constexpr const char* kEvaluates[] = {"leaf", "children"};
constexpr const char* kTerminals[] = {"revisit", "once"};
constexpr const char* kVirtualLosses[] = {"count", "constant"};
constexpr const char* kModes[] = {"step", "block", "partial", "rollout"};
constexpr const char* kChoices[] = {"visits", "value", "gumbel"};

Selection make_selection(const std::string& rule, const std::string& prior,
                         const std::string& unvisited, const std::string& backup,
                         const std::string& backup_from, const std::string& evaluate,
                         const std::string& terminals, const std::string& virtual_loss, double loss,
                         double c, double c_base, double log_factor, double bonus, double discount,
                         double value_count, double mean_epsilon, double value_scale,
                         double visit_offset, double gumbel_scale, int32_t considered,
                         int32_t simulations, int32_t samples, int32_t max_depth) {
  return {named<SelectRule>("select", "rule", rule, kRules),
          named<Prior>("select", "prior", prior, kPriors),
          named<Unvisited>("select", "unvisited", unvisited, kUnvisited),
          named<Backup>("select", "backup", backup, kBackups),
          named<BackupFrom>("select", "backup_from", backup_from, kBackupsFrom),
          named<Evaluate>("select", "evaluate", evaluate, kEvaluates),
          named<Terminals>("select", "terminals", terminals, kTerminals),
          named<VirtualLoss>("select", "virtual_loss", virtual_loss, kVirtualLosses),
          loss,
          c,
          c_base,
          log_factor,
          bonus,
          discount,
          value_count,
          mean_epsilon,
          value_scale,
          visit_offset,
          gumbel_scale,
          considered,
          simulations,
          samples,
          max_depth};
}

template <class T>
Array<T> copied(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The trees, and a lock: a policy and a scorer may tell from threads of their own.
class Trees {
 public:
  explicit Trees(TreeSearch search) : search_(std::move(search)) {}

  // Runs the body without the GIL. It touches the trees and raw pointers into arrays that the
  // caller's frame keeps alive; the lock is taken after the GIL is released, or two threads could
  // each wait for what the other holds.
  template <class Body>
  auto unlocked(Body body) {
    py::gil_scoped_release released;
    const std::lock_guard lock(mutex_);
    return body(search_);
  }

  // The same for a body that makes Python objects as well: the lock is taken with the GIL held,
  // after another thread, which then waits for neither, has been given the time to let it go.
  std::unique_lock<std::mutex> locked() {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {
      py::gil_scoped_release released;
      lock.lock();
    }
    return lock;
  }

  // Sizes are fixed for life, so the memory of nodes and problems never moves.
  TreeSearch& search() { return search_; }

 private:
  TreeSearch search_;
  std::mutex mutex_;
};

std::unique_ptr<Trees> make_trees(int64_t problems, int64_t max_nodes, uint64_t seed,
                                  const OptionalArray<int64_t>& keys,
                                  const OptionalArray<int64_t>& samples,
                                  const OptionalArray<int64_t>& tokens,
                                  const OptionalArray<int64_t>& prm_tokens, bool deterministic,
                                  bool merge_duplicates) {
  const TreeSearchOptions options{problems, max_nodes, seed, deterministic, merge_duplicates};
  return std::make_unique<Trees>(
      make_tree_search(options, items_or_null("TreeSearch", "keys", keys, problems),
                       items_or_null("TreeSearch", "samples", samples, problems),
                       items_or_null("TreeSearch", "tokens", tokens, problems),
                       items_or_null("TreeSearch", "prm_tokens", prm_tokens, problems)));
}

Array<int64_t> request_expand_in(Trees& trees, const Array<int64_t>& nodes,
                                 const Array<int64_t>& samples, const std::string& mode) {
  const int64_t n = length("request_expand", "nodes", nodes);
  const int64_t* wanted = items("request_expand", "samples", samples, n);
  const SampleMode kind = named<SampleMode>("request_expand", "mode", mode, kModes);
  Array<int64_t> granted(n);
  int64_t* out = granted.mutable_data();
  const int64_t* first = nodes.data();
  trees.unlocked([&](TreeSearch& search) { request_expand(search, first, wanted, n, kind, out); });
  return granted;
}

void request_score_in(Trees& trees, const Array<int64_t>& nodes) {
  const int64_t n = length("request_score", "nodes", nodes);
  const int64_t* first = nodes.data();
  trees.unlocked([&](TreeSearch& search) { request_score(search, first, n); });
}

void request_judge_in(Trees& trees, const Array<int64_t>& nodes) {
  const int64_t n = length("request_judge", "nodes", nodes);
  const int64_t* first = nodes.data();
  trees.unlocked([&](TreeSearch& search) { request_judge(search, first, n); });
}

// tickets, nodes, problems [n], and what the kind needs to know: the samples and the mode of an
// expansion, the tokens before the step of an evaluation. Nothing where there are no requests.
py::tuple columns_of(const TreeSearch& search, RequestKind kind,
                     const std::vector<int32_t>& asked) {
  const int64_t n = static_cast<int64_t>(asked.size());
  if (n == 0) return py::tuple();
  Array<int64_t> tickets(n), nodes(n), problems(n), details(n);
  int64_t* const ticket_out = tickets.mutable_data();
  int64_t* const node_out = nodes.mutable_data();
  int64_t* const problem_out = problems.mutable_data();
  int64_t* const detail_out = details.mutable_data();
  for (int64_t i = 0; i < n; ++i) {
    const Ticket& ticket = search.tickets[asked[i]];
    const int32_t above = search.nodes.parent[ticket.node];
    ticket_out[i] = asked[i];
    node_out[i] = ticket.node;
    problem_out[i] = ticket.problem;
    detail_out[i] = kind == RequestKind::kExpand ? ticket.samples
                    : above == kNoParent         ? 0
                                                 : search.nodes.path_tokens[above];
  }
  if (kind != RequestKind::kExpand) return py::make_tuple(tickets, nodes, problems, details);
  Array<int64_t> modes(n);
  int64_t* const mode_out = modes.mutable_data();
  for (int64_t i = 0; i < n; ++i) {
    mode_out[i] = static_cast<int64_t>(search.tickets[asked[i]].mode);
  }
  return py::make_tuple(tickets, nodes, problems, details, modes);
}

// The columns of the three kinds of requests.
py::tuple ask_in(Trees& trees, int64_t max_expand, int64_t max_score, int64_t max_judge,
                 int64_t per_problem) {
  const int64_t most[kRequestKinds] = {max_expand, max_score, max_judge};
  for (const int64_t limit : most) {
    check(limit >= 0, "ask: the greatest number of requests must be 0 or more; got ", limit);
  }
  py::tuple asked(kRequestKinds);
  const auto lock = trees.locked();
  for (int kind = 0; kind < kRequestKinds; ++kind) {
    const auto request = static_cast<RequestKind>(kind);
    asked[kind] =
        columns_of(trees.search(), request, ask(trees.search(), request, most[kind], per_problem));
  }
  return asked;
}

// The UTF-8 of strings, one after the other.
struct Steps {
  std::string bytes;
  std::vector<int64_t> offsets{0};

  explicit Steps(const py::list& texts) {
    offsets.reserve(texts.size() + 1);
    for (size_t i = 0; i < texts.size(); ++i) {
      append(PyList_GET_ITEM(texts.ptr(), static_cast<Py_ssize_t>(i)), i);
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

Array<int64_t> tell_expand_in(
    Trees& trees, const Array<int64_t>& tickets, const Array<int64_t>& child_offsets,
    const OptionalArray<double>& logprob, const OptionalArray<bool>& terminal,
    const OptionalArray<int64_t>& answer_id, const OptionalArray<int64_t>& token_counts,
    const std::optional<py::list>& texts, const OptionalArray<int32_t>& token_ids,
    const OptionalArray<int64_t>& token_offsets) {
  constexpr const char* kVerb = "tell_expand";
  const int64_t n = length(kVerb, "tickets", tickets);
  const int64_t* offsets = checked_offsets(kVerb, "child_offsets", "children", child_offsets, n);
  const int64_t count = offsets[n];
  Children children{offsets,
                    items_or_null(kVerb, "logprob", logprob, count),
                    items_or_null(kVerb, "terminal", terminal, count),
                    items_or_null(kVerb, "answer_id", answer_id, count),
                    items_or_null(kVerb, "token_counts", token_counts, count),
                    nullptr,
                    nullptr};
  const Steps steps(texts.value_or(py::list()));
  std::vector<int64_t> token_bytes;
  if (texts.has_value()) {
    check(static_cast<int64_t>(texts->size()) == count, kVerb,
          ": texts must have a step for each of ", count, " children; got ", texts->size());
    children.payload = steps.bytes.data();
    children.payload_offsets = steps.offsets.data();
  } else if (token_ids.has_value() && token_offsets.has_value()) {
    const int64_t* first = checked_offsets(kVerb, "token_offsets", "tokens", *token_offsets, count);
    check(first[count] == length(kVerb, "tokens", *token_ids), kVerb,
          ": token_offsets must end at ", token_ids->size(), "; got ", first[count]);
    for (int64_t c = 0; c <= count; ++c) token_bytes.push_back(first[c] * token_ids->itemsize());
    children.payload = reinterpret_cast<const char*>(token_ids->data());
    children.payload_offsets = token_bytes.data();
  }
  Array<int64_t> nodes(count);
  int64_t* out = nodes.mutable_data();
  const int64_t* ticket = tickets.data();
  trees.unlocked([&](TreeSearch& search) {
    tell_expand(search, ticket, n, children);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = offsets[i]; c < offsets[i + 1]; ++c) {
        out[c] = search.tickets[ticket[i]].first + (c - offsets[i]);
      }
    }
  });
  return nodes;
}

void tell_score_in(Trees& trees, const Array<int64_t>& tickets, const Array<double>& values,
                   const OptionalArray<double>& rewards) {
  const int64_t n = length("tell_score", "tickets", tickets);
  const double* value = items("tell_score", "values", values, n);
  const double* reward = items_or_null("tell_score", "rewards", rewards, n);
  const int64_t* ticket = tickets.data();
  trees.unlocked([&](TreeSearch& search) { tell_score(search, ticket, n, value, reward); });
}

void tell_judge_in(Trees& trees, const Array<int64_t>& tickets, const Array<bool>& correct) {
  const int64_t n = length("tell_judge", "tickets", tickets);
  const bool* judged = items("tell_judge", "correct", correct, n);
  const int64_t* ticket = tickets.data();
  trees.unlocked([&](TreeSearch& search) { tell_judge(search, ticket, n, judged); });
}

void fail_in(Trees& trees, const Array<int64_t>& tickets, bool retry) {
  const int64_t n = length("fail", "tickets", tickets);
  const int64_t* ticket = tickets.data();
  trees.unlocked([&](TreeSearch& search) { fail(search, ticket, n, retry); });
}

int64_t select_in(Trees& trees, const Selection& selection, int32_t leaves) {
  return trees.unlocked([&](TreeSearch& search) { return select(search, selection, leaves); });
}

Array<int64_t> best_children_in(Trees& trees, const std::string& by) {
  const Choice choice = named<Choice>("best", "by", by, kChoices);
  Array<int64_t> children(trees.search().problems);
  int64_t* out = children.mutable_data();
  trees.unlocked([&](TreeSearch& search) { best_children(search, choice, out); });
  return children;
}

void prune_in(Trees& trees, const Array<int64_t>& nodes) {
  const int64_t n = length("prune", "nodes", nodes);
  const int64_t* first = nodes.data();
  trees.unlocked([&](TreeSearch& search) { prune(search, first, n); });
}

py::tuple frontier_in(Trees& trees) {
  Array<int64_t> offsets(trees.search().problems + 1);
  int64_t* out = offsets.mutable_data();
  const std::vector<int64_t> nodes =
      trees.unlocked([&](TreeSearch& search) { return frontier(search, out); });
  return py::make_tuple(copied(nodes), offsets);
}

py::tuple paths_in(Trees& trees, const Array<int64_t>& nodes) {
  const int64_t n = length("path", "nodes", nodes);
  Array<int64_t> offsets(n + 1);
  int64_t* out = offsets.mutable_data();
  const int64_t* first = nodes.data();
  const std::vector<int64_t> found =
      trees.unlocked([&](TreeSearch& search) { return paths(search, first, n, out); });
  return py::make_tuple(copied(found), offsets);
}

py::tuple path_payload_in(Trees& trees, const Array<int64_t>& nodes) {
  const int64_t n = length("path", "nodes", nodes);
  Array<int64_t> offsets(n + 1);
  int64_t* out = offsets.mutable_data();
  const int64_t* first = nodes.data();
  const std::string bytes =
      trees.unlocked([&](TreeSearch& search) { return path_payload(search, first, n, out); });
  return py::make_tuple(py::bytes(bytes), offsets);
}

Array<double> uniform_in(Trees& trees, const Array<int64_t>& nodes, const Array<int64_t>& draws) {
  const int64_t n = length("uniform", "nodes", nodes);
  const int64_t* draw = items("uniform", "draws", draws, n);
  const int64_t* first = nodes.data();
  Array<double> numbers(n);
  double* out = numbers.mutable_data();
  trees.unlocked([&](TreeSearch& search) { uniform(search, first, draw, n, out); });
  return numbers;
}

py::bytes snapshot_of(Trees& trees) {
  const std::string bytes = trees.unlocked([](TreeSearch& search) { return snapshot(search); });
  return py::bytes(bytes);
}

std::unique_ptr<Trees> restored(const py::bytes& bytes) {
  return std::make_unique<Trees>(restore(std::string_view(bytes)));
}

// The fields of the nodes by name, [problems * max_nodes], without a copy. They keep `self` alive
// and are read-only.
py::typing::Dict<py::str, py::array> fields_of(const py::object& self) {
  py::typing::Dict<py::str, py::array> fields;
  for_each_field(self.cast<Trees&>().search().nodes, [&](const char* name, auto& field, auto) {
    using Item = typename std::remove_cvref_t<decltype(field)>::value_type;
    Array<Item> view(static_cast<py::ssize_t>(field.size()), field.data(), self);
    view.attr("setflags")(py::arg("write") = false);
    fields[name] = view;
  });
  return fields;
}

// Per problem: nodes, simulations, samples, tokens, prm_tokens used, and simulations that wait.
py::tuple counts_of(Trees& trees) {
  const py::ssize_t problems = trees.search().problems;
  std::array<Array<int64_t>, 6> counts;
  for (auto& count : counts) count = Array<int64_t>(problems);
  trees.unlocked([&](TreeSearch& search) {
    for (py::ssize_t p = 0; p < problems; ++p) {
      const Problem& problem = search.problem[p];
      const int64_t values[6] = {problem.nodes,       problem.simulations,     problem.used.samples,
                                 problem.used.tokens, problem.used.prm_tokens, problem.open_leaves};
      for (size_t k = 0; k < 6; ++k) counts[k].mutable_data()[p] = values[k];
    }
  });
  return py::make_tuple(counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]);
}

int64_t open_requests(Trees& trees) {
  return trees.unlocked([](TreeSearch& search) {
    int64_t open = search.outstanding;
    for (const RequestQueue& queue : search.queues) open += queue.total;
    return open;
  });
}

}  // namespace

void bind_tree_search(py::module_& module) {
  py::class_<Selection>(module, "Selection")
      .def(py::init(&make_selection), py::arg("rule"), py::arg("prior"), py::arg("unvisited"),
           py::arg("backup"), py::arg("backup_from"), py::arg("evaluate"), py::arg("terminals"),
           py::arg("virtual_loss"), py::arg("loss"), py::arg("c"), py::arg("c_base"),
           py::arg("log_factor"), py::arg("bonus"), py::arg("discount"), py::arg("value_count"),
           py::arg("mean_epsilon"), py::arg("value_scale"), py::arg("visit_offset"),
           py::arg("gumbel_scale"), py::arg("considered"), py::arg("simulations"),
           py::arg("samples"), py::arg("max_depth"));
  py::class_<Trees>(module, "TreeSearch")
      .def(py::init(&make_trees), py::arg("problems"), py::arg("max_nodes"), py::arg("seed"),
           py::arg("keys").none(true), py::arg("samples").none(true), py::arg("tokens").none(true),
           py::arg("prm_tokens").none(true), py::arg("deterministic"), py::arg("merge_duplicates"))
      .def("request_expand", request_expand_in, py::arg("nodes").noconvert(),
           py::arg("samples").noconvert(), py::arg("mode"))
      .def("request_score", request_score_in, py::arg("nodes").noconvert())
      .def("request_judge", request_judge_in, py::arg("nodes").noconvert())
      .def("ask", ask_in, py::arg("max_expand"), py::arg("max_score"), py::arg("max_judge"),
           py::arg("per_problem"))
      .def("tell_expand", tell_expand_in, py::arg("tickets").noconvert(),
           py::arg("child_offsets").noconvert(), py::arg("logprob").noconvert().none(true),
           py::arg("terminal").noconvert().none(true), py::arg("answer_id").noconvert().none(true),
           py::arg("token_counts").noconvert().none(true), py::arg("texts").none(true),
           py::arg("token_ids").noconvert().none(true),
           py::arg("token_offsets").noconvert().none(true))
      .def("tell_score", tell_score_in, py::arg("tickets").noconvert(),
           py::arg("values").noconvert(), py::arg("rewards").noconvert().none(true))
      .def("tell_judge", tell_judge_in, py::arg("tickets").noconvert(),
           py::arg("correct").noconvert())
      .def("fail", fail_in, py::arg("tickets").noconvert(), py::arg("retry"))
      .def("select", select_in, py::arg("selection"), py::arg("leaves"))
      .def("best_children", best_children_in, py::arg("by"))
      .def("prune", prune_in, py::arg("nodes").noconvert())
      .def("frontier", frontier_in)
      .def("paths", paths_in, py::arg("nodes").noconvert())
      .def("path_payload", path_payload_in, py::arg("nodes").noconvert())
      .def("uniform", uniform_in, py::arg("nodes").noconvert(), py::arg("draws").noconvert())
      .def("snapshot", snapshot_of)
      .def_static("restore", restored, py::arg("bytes"))
      .def("fields", [](const py::object& self) { return fields_of(self); })
      .def("counts", counts_of)
      .def("open_requests", open_requests);
}

}  // namespace stepscore
