#include <pybind11/typing.h>

#include <array>
#include <memory>
#include <mutex>
#include <string_view>

#include "bindings.h"
#include "stepscore/tree_search.h"
#include "tree_search/arguments.h"
#include "tree_search/selection.h"

namespace stepscore {
namespace {

constexpr const char* kModes[] = {"step", "block", "partial", "rollout"};
constexpr const char* kChoices[] = {"visits", "value", "gumbel"};

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
  const TreeSearchOptions options{.problems = problems,
                                  .max_nodes = max_nodes,
                                  .seed = seed,
                                  .deterministic = deterministic,
                                  .merge_duplicates = merge_duplicates};
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
                     const std::vector<int32_t>& numbers) {
  const int64_t n = static_cast<int64_t>(numbers.size());
  if (n == 0) return py::tuple();
  Array<int64_t> tickets(n), nodes(n), problems(n), details(n);
  int64_t* const ticket_out = tickets.mutable_data();
  int64_t* const node_out = nodes.mutable_data();
  int64_t* const problem_out = problems.mutable_data();
  int64_t* const detail_out = details.mutable_data();
  for (int64_t i = 0; i < n; ++i) {
    const Ticket& ticket = search.tickets[numbers[i]];
    const int32_t above = search.nodes.parent[ticket.node];
    ticket_out[i] = numbers[i];
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
    mode_out[i] = static_cast<int64_t>(search.tickets[numbers[i]].mode);
  }
  return py::make_tuple(tickets, nodes, problems, details, modes);
}

// The columns of the three kinds of requests.
py::tuple ask_in(Trees& trees, int64_t max_expand, int64_t max_score, int64_t max_judge,
                 int64_t per_problem) {
  const int64_t most[kRequestKinds] = {max_expand, max_score, max_judge};
  for (const int64_t limit : most) {
    check(limit >= 0, "ask", kNoArgument, "the greatest number of requests must be 0 or more; got ",
          limit);
  }
  py::tuple requests(kRequestKinds);
  const auto lock = trees.locked();
  for (int kind = 0; kind < kRequestKinds; ++kind) {
    const auto request = static_cast<RequestKind>(kind);
    requests[kind] =
        columns_of(trees.search(), request, ask(trees.search(), request, most[kind], per_problem));
  }
  return requests;
}

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
  Children children{.offsets = offsets,
                    .logprob = items_or_null(kVerb, "logprob", logprob, count),
                    .terminal = items_or_null(kVerb, "terminal", terminal, count),
                    .answer_id = items_or_null(kVerb, "answer_id", answer_id, count),
                    .tokens = items_or_null(kVerb, "token_counts", token_counts, count),
                    .payload = nullptr,
                    .payload_offsets = nullptr};
  // A copy of the list: without the GIL another thread may change the caller's.
  const py::tuple steps_told = texts.has_value() ? py::tuple(*texts) : py::tuple();
  const Steps steps(steps_told);
  std::vector<int64_t> token_bytes;
  if (texts.has_value()) {
    check(static_cast<int64_t>(steps_told.size()) == count, kVerb, "texts",
          " must have a step for each of ", count, " children; got ", steps_told.size());
    children.payload = steps.bytes.data();
    children.payload_offsets = steps.offsets.data();
  } else if (token_ids.has_value() && token_offsets.has_value()) {
    const int64_t* first = checked_offsets(kVerb, "token_offsets", "tokens", *token_offsets, count);
    check(first[count] == length(kVerb, "tokens", *token_ids), kVerb, "token_offsets",
          " must end at ", token_ids->size(), "; got ", first[count]);
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
                   const OptionalArray<double>& rewards, const OptionalArray<double>& outcomes) {
  const int64_t n = length("tell_score", "tickets", tickets);
  const double* value = items("tell_score", "values", values, n);
  const double* reward = items_or_null("tell_score", "rewards", rewards, n);
  const double* outcome = items_or_null("tell_score", "outcomes", outcomes, n);
  const int64_t* ticket = tickets.data();
  trees.unlocked(
      [&](TreeSearch& search) { tell_score(search, ticket, n, value, reward, outcome); });
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
  const std::vector<int64_t> nodes_on_paths =
      trees.unlocked([&](TreeSearch& search) { return paths(search, first, n, out); });
  return py::make_tuple(copied(nodes_on_paths), offsets);
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

// Per problem: nodes, simulations, samples, tokens, prm_tokens used, simulations that wait, and the
// node that passed the gate.
py::tuple counts_of(Trees& trees) {
  const py::ssize_t problems = trees.search().problems;
  std::array<Array<int64_t>, 7> counts;
  for (auto& count : counts) count = Array<int64_t>(problems);
  trees.unlocked([&](TreeSearch& search) {
    for (py::ssize_t p = 0; p < problems; ++p) {
      const Problem& problem = search.problem[p];
      const int64_t values[7] = {problem.nodes,       problem.simulations,     problem.used.samples,
                                 problem.used.tokens, problem.used.prm_tokens, problem.open_leaves,
                                 problem.found};
      for (size_t k = 0; k < 7; ++k) counts[k].mutable_data()[p] = values[k];
    }
  });
  return py::make_tuple(counts[0], counts[1], counts[2], counts[3], counts[4], counts[5],
                        counts[6]);
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
  bind_selection(module);
  module.attr("SAMPLE_MODES") = as_tuple(kModes);
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
           py::arg("values").noconvert(), py::arg("rewards").noconvert().none(true),
           py::arg("outcomes").noconvert().none(true))
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
