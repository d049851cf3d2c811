#include "bindings.h"
#include "stepscore/prefix_trie.h"

namespace stepscore {
namespace {

int64_t* checked_int64(const char* argument, const TensorView& view, int64_t size) {
  check_view("PrefixTrie", argument, view, 1, {DType::kInt64});
  check(view.shape[0] == size, "PrefixTrie", argument, " must have shape [", size, "]; got ",
        shape_of(view));
  return pointer<int64_t>(view);
}

struct Request {
  const int64_t* offsets;
  int64_t whole[2];  // all traces in one group
  const int64_t* groups;
  int64_t group_count;
  Branches branches;

  template <class Id>
  GroupedTraces<Id> traces(const TensorView& token_ids) const {
    return {pointer<const Id>(token_ids), offsets, groups == nullptr ? whole : groups, group_count};
  }
};

Request checked(const TensorView& token_ids, const TensorView& offsets,
                const std::optional<TensorView>& groups, const TensorView& node_offsets,
                const TensorView& stem) {
  check_view("PrefixTrie", "token_ids", token_ids, 1, {DType::kInt32, DType::kInt64});
  const int64_t traces = check_offsets("PrefixTrie", offsets, "token_ids", token_ids.shape[0]);
  Request request{pointer<const int64_t>(offsets), {0, traces}, nullptr, 1, {}};
  if (groups.has_value()) {
    request.group_count = check_offsets("PrefixTrie", *groups, "traces", traces, "groups");
    request.groups = pointer<const int64_t>(*groups);
  }
  request.branches = {checked_int64("node_offsets", node_offsets, traces + 1),
                      checked_int64("stem", stem, traces)};
  return request;
}

// Fills node_offsets and stem, and returns the number of nodes, for which Python makes the arrays.
int64_t bound_share_prefixes(const TensorView& token_ids, const TensorView& offsets,
                             const std::optional<TensorView>& groups,
                             const TensorView& node_offsets, const TensorView& stem) {
  const Request request = checked(token_ids, offsets, groups, node_offsets, stem);
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  if (token_ids.dtype == DType::kInt32) {
    share_prefixes(request.traces<int32_t>(token_ids), request.branches);
  } else {
    share_prefixes(request.traces<int64_t>(token_ids), request.branches);
  }
  return request.branches.node_offsets[request.whole[1]];
}

void bound_prefix_trie(const TensorView& token_ids, const TensorView& offsets,
                       const std::optional<TensorView>& groups, const TensorView& node_offsets,
                       const TensorView& stem, const TensorView& token, const TensorView& parent,
                       const TensorView& depth, const TensorView& count,
                       const TensorView& node_of_token, const TensorView& last_node) {
  const Request request = checked(token_ids, offsets, groups, node_offsets, stem);
  const int64_t traces = request.whole[1];
  const int64_t nodes = request.branches.node_offsets[traces];
  check_view("PrefixTrie", "token", token, 1, {token_ids.dtype});
  check(token.shape[0] == nodes, "PrefixTrie", "token", " must have shape [", nodes, "]; got ",
        shape_of(token));
  int64_t* parents = checked_int64("parent", parent, nodes);
  int64_t* depths = checked_int64("depth", depth, nodes);
  int64_t* counts = checked_int64("count", count, nodes);
  int64_t* node_of = checked_int64("node_of_token", node_of_token, token_ids.shape[0]);
  int64_t* last = checked_int64("last_node", last_node, traces);
  // Only raw pointers below; the arrays belong to the caller's frame, which outlives the scope.
  py::gil_scoped_release unlocked;
  if (token_ids.dtype == DType::kInt32) {
    prefix_trie<int32_t>(request.traces<int32_t>(token_ids), request.branches,
                         {pointer<int32_t>(token), parents, depths, counts, node_of, last});
  } else {
    prefix_trie<int64_t>(request.traces<int64_t>(token_ids), request.branches,
                         {pointer<int64_t>(token), parents, depths, counts, node_of, last});
  }
}

}  // namespace

void bind_prefix_trie(py::module_& module) {
  module.def("share_prefixes", bound_share_prefixes, py::arg("token_ids"), py::arg("offsets"),
             py::arg("groups").none(true), py::arg("node_offsets"), py::arg("stem"));
  module.def("prefix_trie", bound_prefix_trie, py::arg("token_ids"), py::arg("offsets"),
             py::arg("groups").none(true), py::arg("node_offsets"), py::arg("stem"),
             py::arg("token"), py::arg("parent"), py::arg("depth"), py::arg("count"),
             py::arg("node_of_token"), py::arg("last_node"));
}

}  // namespace stepscore
