#include "tree_search/arena.h"

#include <algorithm>

#include "stepscore/check.h"

namespace stepscore {

TreeSearch make_tree_search(const TreeSearchOptions& options, const int64_t* keys,
                            const int64_t* samples, const int64_t* tokens,
                            const int64_t* prm_tokens) {
  check(options.problems >= 0, "TreeSearch", "problems", " must be 0 or more; got ",
        options.problems);
  check(options.max_nodes >= 1, "TreeSearch", "max_nodes", " must be 1 or more; got ",
        options.max_nodes);
  check(options.problems <= std::numeric_limits<int32_t>::max() / options.max_nodes, "TreeSearch",
        "problems", " * max_nodes must be below 2^31; got ", options.problems, " * ",
        options.max_nodes, "; search fewer problems at once");
  TreeSearch search{options.problems,
                    options.max_nodes,
                    options.seed,
                    options.deterministic,
                    options.merge_duplicates,
                    {},
                    {},
                    false,
                    {},
                    {},
                    0,
                    std::vector<RequestQueue>(kRequestKinds),
                    std::vector<std::vector<int32_t>>(static_cast<size_t>(options.problems)),
                    {},
                    {}};
  const size_t all = static_cast<size_t>(options.problems * options.max_nodes);
  for_each_field(search.nodes,
                 [&](const char*, auto& field, auto initial) { field.assign(all, initial); });
  search.tickets.reserve(all);  // address space: pages are taken when they are written
  const auto budget = [](const char* name, const int64_t* values, int64_t p) {
    if (values == nullptr) return kUnlimited;
    check(values[p] >= 1, "TreeSearch", name, "[", p, "] must be 1 or more; got ", values[p]);
    return values[p];
  };
  for (int64_t p = 0; p < options.problems; ++p) {
    Problem problem{};
    problem.key = static_cast<uint64_t>(keys == nullptr ? p : keys[p]);
    problem.budget = {budget("samples", samples, p), budget("tokens", tokens, p),
                      budget("prm_tokens", prm_tokens, p)};
    search.problem.push_back(problem);
    search.nodes.flags[search.root(p)] = kExists;
  }
  for (RequestQueue& queue : search.queues) {
    for (auto* ends : {&queue.head, &queue.tail}) {
      ends->assign(static_cast<size_t>(options.problems), kNoTicket);
    }
    queue.size.assign(static_cast<size_t>(options.problems), 0);
  }
  return search;
}

int64_t samples_left(const TreeSearch& search, int64_t p) {
  const Problem& problem = search.problem[p];
  if (problem.used.tokens >= problem.budget.tokens) return 0;
  if (problem.used.prm_tokens >= problem.budget.prm_tokens) return 0;
  return std::min(problem.budget.samples - problem.used.samples, search.max_nodes - problem.nodes);
}

void link_children(Nodes& nodes, int32_t parent, int32_t first, int32_t count) {
  const auto chain = [&](int32_t begin, int32_t size, int32_t after) {
    for (int32_t c = begin; c < begin + size; ++c) nodes.next_sibling[c] = c + 1;
    nodes.next_sibling[begin + size - 1] = after;
  };
  int32_t& head = nodes.first_child[parent];
  int32_t& tail = nodes.last_child[parent];
  int32_t& size = nodes.child_count[parent];
  const bool scattered = (nodes.flags[parent] & kScattered) != 0;
  if (head == kNoChild) {
    head = first;
  } else if (scattered || first != tail + 1) {
    if (!scattered) chain(head, size, kNoChild);
    nodes.flags[parent] |= kScattered;
    // Most are told in the order of their requests: then at the end, without a walk.
    int32_t before = first > tail ? tail : kNoChild, after = first > tail ? kNoChild : head;
    for (; after != kNoChild && after < first; after = nodes.next_sibling[after]) before = after;
    chain(first, count, after);
    (before == kNoChild ? head : nodes.next_sibling[before]) = first;
  }
  tail = std::max(tail, first + count - 1);
  size += count;
}

int32_t checked_node(const TreeSearch& search, const char* verb, int64_t node) {
  check(node >= 0 && node < search.problems * search.max_nodes &&
            (search.nodes.flags[node] & kExists) != 0,
        verb, About{"nodes"}, "there is no node ", node);
  return static_cast<int32_t>(node);
}

void prune(TreeSearch& search, const int64_t* nodes, int64_t n) {
  for (int64_t i = 0; i < n; ++i) checked_node(search, "prune", nodes[i]);
  for (int64_t i = 0; i < n; ++i) {
    search.nodes.flags[nodes[i]] |= kPruned;
    forget_priors(search.nodes, nodes[i]);
  }
}

std::vector<int64_t> frontier(const TreeSearch& search, int64_t* offsets) {
  constexpr int32_t kOut = kTerminal | kPruned | kDuplicate;
  std::vector<int64_t> nodes_found;
  offsets[0] = 0;
  for (int64_t p = 0; p < search.problems; ++p) {
    const int32_t root = search.root(p);
    for (int32_t v = root; v < root + search.problem[p].nodes; ++v) {
      const bool open = (search.nodes.flags[v] & (kExists | kOut)) == kExists;
      if (open && search.nodes.first_child[v] == kNoChild && search.nodes.expanding[v] == 0) {
        nodes_found.push_back(v);
      }
    }
    offsets[p + 1] = static_cast<int64_t>(nodes_found.size());
  }
  return nodes_found;
}

std::vector<int64_t> paths(const TreeSearch& search, const int64_t* nodes, int64_t n,
                           int64_t* offsets) {
  std::vector<int64_t> nodes_found;
  offsets[0] = 0;
  for (int64_t i = 0; i < n; ++i) {
    const size_t begin = nodes_found.size();
    for (int32_t v = checked_node(search, "path", nodes[i]); v != kNoParent;
         v = search.nodes.parent[v]) {
      nodes_found.push_back(v);
    }
    std::reverse(nodes_found.begin() + static_cast<int64_t>(begin), nodes_found.end());
    offsets[i + 1] = static_cast<int64_t>(nodes_found.size());
  }
  return nodes_found;
}

std::string path_payload(const TreeSearch& search, const int64_t* nodes, int64_t n,
                         int64_t* offsets) {
  std::vector<int64_t> path_offsets(static_cast<size_t>(n) + 1);
  const std::vector<int64_t> path = paths(search, nodes, n, path_offsets.data());
  std::string bytes;
  offsets[0] = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = path_offsets[i]; k < path_offsets[i + 1]; ++k) {
      bytes.append(search.payload.data() + search.nodes.payload_begin[path[k]],
                   static_cast<size_t>(search.nodes.payload_size[path[k]]));
    }
    offsets[i + 1] = static_cast<int64_t>(bytes.size());
  }
  return bytes;
}

}  // namespace stepscore
