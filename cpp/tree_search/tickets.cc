#include "tree_search/tickets.h"

#include <algorithm>
#include <cstring>

#include "stepscore/check.h"
#include "tree_search/arena.h"
#include "tree_search/backup.h"

namespace stepscore {
namespace {

constexpr const char* kTell[] = {"tell_expand", "tell_score", "tell_judge"};

RequestQueue& queue_of(TreeSearch& search, RequestKind kind) {
  return search.queues[static_cast<size_t>(kind)];
}

struct Shares {
  std::vector<int32_t> sizes;  // [problems]
  int64_t next_turn;
};

// Requests of each problem that fit into `most`, shared evenly from the queue's turn on.
Shares shares(const RequestQueue& queue, int64_t most, int64_t per_problem) {
  const int64_t problems = static_cast<int64_t>(queue.size.size());
  Shares shares{std::vector<int32_t>(queue.size.size(), 0), queue.turn};
  const auto wants = [&](int64_t p) {
    return std::min<int64_t>(queue.size[p], per_problem) - shares.sizes[p];
  };
  for (int64_t left = most; left > 0;) {
    int64_t hungry = 0;
    for (int64_t p = 0; p < problems; ++p) hungry += wants(p) > 0 ? 1 : 0;
    if (hungry == 0) break;
    const int64_t helping = std::max<int64_t>(1, left / hungry);
    for (int64_t i = 0; i < problems && left > 0; ++i) {
      const int64_t p = (queue.turn + i) % problems;
      const int64_t more = std::min({helping, wants(p), left});
      shares.sizes[p] += static_cast<int32_t>(more);
      left -= more;
      if (left == 0) shares.next_turn = (p + 1) % problems;
    }
  }
  return shares;
}

int32_t dequeue(TreeSearch& search, RequestQueue& queue, int64_t p) {
  const int32_t t = queue.head[p];
  queue.head[p] = search.tickets[t].next;
  if (queue.head[p] == kNoTicket) queue.tail[p] = kNoTicket;
  --queue.size[p];
  --queue.total;
  search.tickets[t].state = TicketState::kAsked;
  ++search.outstanding;
  return t;
}

int32_t add_ticket(TreeSearch& search, const Ticket& ticket) {
  const int32_t t = static_cast<int32_t>(search.tickets.size());
  search.tickets.push_back(ticket);
  if (ticket.leaf != kNoSimulation) ++search.nodes.waiting[ticket.leaf];
  enqueue(search, t);
  return t;
}

const Ticket& asked_ticket(const TreeSearch& search, const char* verb, int64_t t) {
  const bool known = t >= 0 && t < static_cast<int64_t>(search.tickets.size());
  check(known && search.tickets[t].state != TicketState::kQueued, verb, About{"tickets"}, "ticket ",
        t, " was never asked; pass tickets that ask returned");
  const Ticket& ticket = search.tickets[t];
  check(ticket.state != TicketState::kTold, verb, About{"tickets"}, "ticket ", t,
        " was told before");
  check(ticket.state != TicketState::kFailed, verb, About{"tickets"}, "ticket ", t,
        " was closed by fail");
  return ticket;
}

// Marks the tickets of a call as told. Until `keep`, an exception of the call gives them back.
class Claim {
 public:
  Claim(TreeSearch& search, const char* verb, const int64_t* tickets, int64_t n)
      : search_(search), tickets_(tickets) {
    try {
      for (; claimed_ < n; ++claimed_) {
        asked_ticket(search, verb, tickets[claimed_]);
        search.tickets[tickets[claimed_]].state = TicketState::kTold;
      }
    } catch (...) {
      give_back();
      throw;
    }
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  ~Claim() {
    if (!kept_) give_back();
  }

  void check_kind(const char* verb, RequestKind kind) const {
    for (int64_t i = 0; i < claimed_; ++i) {
      const RequestKind is = search_.tickets[tickets_[i]].kind;
      check(is == kind, verb, About{"tickets"}, "ticket ", tickets_[i], " is answered by ",
            kTell[static_cast<int>(is)]);
    }
  }
  void keep() {
    kept_ = true;
    search_.outstanding -= claimed_;
  }

 private:
  void give_back() {
    for (int64_t i = 0; i < claimed_; ++i) {
      search_.tickets[tickets_[i]].state = TicketState::kAsked;
    }
  }

  TreeSearch& search_;
  const int64_t* tickets_;
  int64_t claimed_ = 0;
  bool kept_ = false;
};

bool finite(double x) {
  return x - x == 0.0;
}

void check_children(const TreeSearch& search, const int64_t* tickets, int64_t n,
                    const Children& children) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t size = children.offsets[i + 1] - children.offsets[i];
    const Ticket& ticket = search.tickets[tickets[i]];
    check(size <= ticket.samples, "tell_expand", About{"child_offsets"}, "ticket ", tickets[i],
          " asks for ", ticket.samples, " children at most; got ", size);
  }
  const int64_t all = children.offsets[n];
  for (int64_t c = 0; c < all && children.logprob != nullptr; ++c) {
    check(finite(children.logprob[c]), "tell_expand", "logprob", "[", c, "] is ",
          children.logprob[c], "; it must be finite");
  }
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  for (int64_t c = 0; c < all && children.answer_id != nullptr; ++c) {
    const int64_t id = children.answer_id[c];
    check(id >= -1 && id <= kMost, "tell_expand", "answer_id", "[", c, "] is ", id,
          "; ids are 0 or more, and -1 for no answer");
  }
  for (int64_t i = 0; i < n && children.tokens != nullptr; ++i) {
    const int64_t before = search.nodes.path_tokens[search.tickets[tickets[i]].node];
    for (int64_t c = children.offsets[i]; c < children.offsets[i + 1]; ++c) {
      const int64_t tokens = children.tokens[c];
      check(tokens >= 0 && tokens <= kMost - before, "tell_expand", "token_counts", "[", c, "] is ",
            tokens, "; it must be 0 or more, and a path have fewer than 2^31");
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const Budgets& budget = search.problem[search.tickets[tickets[i]].problem].budget;
    check(children.tokens != nullptr ||
              (budget.tokens == kUnlimited && budget.prm_tokens == kUnlimited),
          "tell_expand", "token_counts", " must be given where tokens have a budget");
  }
}

bool same_payload(const TreeSearch& search, int32_t a, int32_t b) {
  const Nodes& nodes = search.nodes;
  return nodes.payload_size[a] == nodes.payload_size[b] &&
         std::memcmp(search.payload.data() + nodes.payload_begin[a],
                     search.payload.data() + nodes.payload_begin[b],
                     static_cast<size_t>(nodes.payload_size[a])) == 0;
}

void write_children(TreeSearch& search, const Ticket& ticket, const Children& children,
                    int64_t begin, int32_t count, int64_t payload_base) {
  Nodes& nodes = search.nodes;
  const int32_t parent = ticket.node, first = ticket.first;
  const int32_t depth = nodes.depth[parent] + 1, before = nodes.path_tokens[parent];
  for (int32_t i = 0; i < count; ++i) {
    const int32_t c = first + i;
    const int64_t child = begin + i;
    nodes.parent[c] = parent;
    nodes.depth[c] = depth;
    nodes.flags[c] = kExists;
    nodes.path_tokens[c] = before;
    if (children.terminal != nullptr && children.terminal[child]) nodes.flags[c] |= kTerminal;
    if (children.logprob != nullptr) nodes.logprob[c] = children.logprob[child];
    if (children.answer_id != nullptr) {
      nodes.answer_id[c] = static_cast<int32_t>(children.answer_id[child]);
    }
    if (children.tokens != nullptr) {
      nodes.path_tokens[c] += static_cast<int32_t>(children.tokens[child]);
      search.problem[ticket.problem].used.tokens += children.tokens[child];
    }
    if (children.payload != nullptr) {
      const int64_t at = children.payload_offsets[child];
      nodes.payload_begin[c] = payload_base + at;
      nodes.payload_size[c] = static_cast<int32_t>(children.payload_offsets[child + 1] - at);
    }
  }
  const bool simulated = ticket.leaf != kNoSimulation && !ticket.rolls;
  const bool merges = simulated && search.selection.duplicates == Duplicates::kMerge;
  if (!search.merge_duplicates && !merges) return;
  for (int32_t c = first + 1; c < first + count; ++c) {
    for (int32_t earlier = first; earlier < c; ++earlier) {
      if (!same_payload(search, earlier, c)) continue;
      nodes.flags[c] |= kDuplicate;
      break;
    }
  }
}

// After the last expansion: terminal where the policy found nothing to add, pruned where it failed.
void close_if_barren(Nodes& nodes, int32_t v) {
  if (nodes.child_count[v] > 0 || nodes.expanding[v] > 0) return;
  nodes.flags[v] |= (nodes.flags[v] & kExpanded) != 0 ? kTerminal : kPruned;
  forget_priors(nodes, v);
}

void add_children(TreeSearch& search, const Ticket& ticket, const Children& children, int64_t begin,
                  int32_t count, int64_t payload_base) {
  Nodes& nodes = search.nodes;
  const int32_t parent = ticket.node;
  --nodes.expanding[parent];
  nodes.flags[parent] |= kExpanded;
  nodes.flags[parent] &= ~kPriorReady;
  if (count > 0) {
    write_children(search, ticket, children, begin, count, payload_base);
    link_children(nodes, parent, ticket.first, count);
  } else {
    close_if_barren(nodes, parent);
  }
}

// Steps outside the tree: no search comes to them, and only their values are wanted.
void add_rolled(TreeSearch& search, const Ticket& ticket, const Children& children, int64_t begin,
                int32_t count, int64_t payload_base) {
  write_children(search, ticket, children, begin, count, payload_base);
  search.nodes.rolled_count[ticket.node] = count;
  for (int32_t c = ticket.first; c < ticket.first + count; ++c) search.nodes.flags[c] |= kPruned;
}

// What enqueue does one by one, for all children of an expansion.
void queue_scores(TreeSearch& search, const Ticket& expansion, int32_t count) {
  RequestQueue& queue = queue_of(search, RequestKind::kScore);
  const int32_t p = expansion.problem, begin = static_cast<int32_t>(search.tickets.size());
  for (int32_t c = expansion.first; c < expansion.first + count; ++c) {
    if ((search.nodes.flags[c] & kDuplicate) != 0) continue;
    search.nodes.flags[c] |= kScoreOpen;
    const int32_t next = static_cast<int32_t>(search.tickets.size()) + 1;
    search.tickets.push_back({p, c, expansion.leaf, kNoChild, 0, next, RequestKind::kScore,
                              SampleMode::kStep, TicketState::kQueued});
  }
  const int32_t added = static_cast<int32_t>(search.tickets.size()) - begin;
  if (added == 0) return;
  search.tickets.back().next = kNoTicket;
  (queue.tail[p] == kNoTicket ? queue.head[p] : search.tickets[queue.tail[p]].next) = begin;
  queue.tail[p] = begin + added - 1;
  queue.size[p] += added;
  queue.total += added;
  search.nodes.waiting[expansion.leaf] += added;
}

// A simulation that waits for the ticket has one answer more.
void answered(TreeSearch& search, int32_t leaf) {
  if (leaf != kNoSimulation && --search.nodes.waiting[leaf] == 0) finish_simulation(search, leaf);
}

void request_evaluation(TreeSearch& search, const char* verb, RequestKind kind, NodeFlag open,
                        const int64_t* nodes, int64_t n) {
  int64_t opened = 0;
  try {
    for (; opened < n; ++opened) {
      const int32_t v = checked_node(search, verb, nodes[opened]);
      check((search.nodes.flags[v] & open) == 0, verb, About{"nodes"}, "node ", v,
            " is asked for already; wait for its answer");
      search.nodes.flags[v] |= open;
    }
  } catch (...) {
    for (int64_t i = 0; i < opened; ++i) search.nodes.flags[nodes[i]] &= ~open;
    throw;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int32_t v = static_cast<int32_t>(nodes[i]);
    queue_evaluation(search, kind, search.problem_of(v), v, kNoSimulation);
  }
}

}  // namespace

void enqueue(TreeSearch& search, int32_t t) {
  Ticket& ticket = search.tickets[t];
  RequestQueue& queue = queue_of(search, ticket.kind);
  const int64_t p = ticket.problem;
  ticket.state = TicketState::kQueued;
  ticket.next = kNoTicket;
  (queue.tail[p] == kNoTicket ? queue.head[p] : search.tickets[queue.tail[p]].next) = t;
  queue.tail[p] = t;
  ++queue.size[p];
  ++queue.total;
}

void queue_expand(TreeSearch& search, int64_t p, int32_t node, int32_t first, int32_t samples,
                  SampleMode mode, int32_t leaf) {
  ++search.nodes.expanding[node];
  add_ticket(search, {static_cast<int32_t>(p), node, leaf, first, samples, kNoTicket,
                      RequestKind::kExpand, mode, TicketState::kQueued});
}

void queue_roll(TreeSearch& search, int64_t p, int32_t node, int32_t first, int32_t samples,
                int32_t leaf) {
  add_ticket(search, {static_cast<int32_t>(p), node, leaf, first, samples, kNoTicket,
                      RequestKind::kExpand, SampleMode::kStep, TicketState::kQueued, true});
}

void queue_evaluation(TreeSearch& search, RequestKind kind, int64_t p, int32_t node, int32_t leaf) {
  search.nodes.flags[node] |= kind == RequestKind::kScore ? kScoreOpen : kJudgeOpen;
  add_ticket(search, {static_cast<int32_t>(p), node, leaf, kNoChild, 0, kNoTicket, kind,
                      SampleMode::kStep, TicketState::kQueued});
}

void request_expand(TreeSearch& search, const int64_t* nodes, const int64_t* samples, int64_t n,
                    SampleMode mode, int64_t* granted) {
  for (int64_t i = 0; i < n; ++i) {
    const int32_t v = checked_node(search, "request_expand", nodes[i]);
    const int32_t flags = search.nodes.flags[v];
    check((flags & kTerminal) == 0, "request_expand", About{"nodes"}, "node ", v, " is terminal");
    check((flags & (kPruned | kDuplicate)) == 0, "request_expand", About{"nodes"}, "node ", v,
          " is pruned");
    check(samples[i] >= 1, "request_expand", "samples", "[", i, "] must be 1 or more; got ",
          samples[i]);
  }
  for (int64_t i = 0; i < n; ++i) {
    const int32_t v = static_cast<int32_t>(nodes[i]);
    const int64_t p = search.problem_of(v);
    granted[i] = std::min(samples[i], samples_left(search, p));
    if (granted[i] == 0) continue;
    const int32_t count = static_cast<int32_t>(granted[i]);
    search.problem[p].used.samples += count;
    queue_expand(search, p, v, reserve(search, p, count), count, mode, kNoSimulation);
  }
}

void request_score(TreeSearch& search, const int64_t* nodes, int64_t n) {
  request_evaluation(search, "request_score", RequestKind::kScore, kScoreOpen, nodes, n);
}

void request_judge(TreeSearch& search, const int64_t* nodes, int64_t n) {
  request_evaluation(search, "request_judge", RequestKind::kJudge, kJudgeOpen, nodes, n);
}

std::vector<int32_t> ask(TreeSearch& search, RequestKind kind, int64_t most, int64_t per_problem) {
  check(most >= 0, "ask", kNoArgument, "the greatest number of requests must be 0 or more; got ",
        most);
  check(per_problem >= 1, "ask", "per_problem", " must be 1 or more; got ", per_problem);
  RequestQueue& queue = queue_of(search, kind);
  std::vector<int32_t> handed_out;
  if (queue.total == 0 || most == 0) return handed_out;
  const Shares share = shares(queue, most, per_problem);
  handed_out.reserve(static_cast<size_t>(std::min(most, queue.total)));
  for (int64_t i = 0; i < search.problems; ++i) {
    const int64_t p = (queue.turn + i) % search.problems;
    for (int32_t k = 0; k < share.sizes[p]; ++k) handed_out.push_back(dequeue(search, queue, p));
  }
  queue.turn = share.next_turn;
  return handed_out;
}

void tell_expand(TreeSearch& search, const int64_t* tickets, int64_t n, const Children& children) {
  Claim claim(search, "tell_expand", tickets, n);
  claim.check_kind("tell_expand", RequestKind::kExpand);
  check_children(search, tickets, n, children);
  claim.keep();
  const int64_t payload_base = static_cast<int64_t>(search.payload.size());
  if (children.payload != nullptr) {
    search.payload.insert(search.payload.end(), children.payload,
                          children.payload + children.payload_offsets[children.offsets[n]]);
  }
  const bool score_children = search.selection.evaluate == Evaluate::kChildren;
  for (int64_t i = 0; i < n; ++i) {
    const Ticket ticket = search.tickets[tickets[i]];  // a copy: tickets are added below
    const int64_t begin = children.offsets[i];
    const int32_t count = static_cast<int32_t>(children.offsets[i + 1] - begin);
    if (ticket.rolls) {
      add_rolled(search, ticket, children, begin, count, payload_base);
    } else {
      add_children(search, ticket, children, begin, count, payload_base);
    }
    if (ticket.leaf == kNoSimulation) continue;
    if (score_children) queue_scores(search, ticket, count);
    answered(search, ticket.leaf);
  }
}

void tell_score(TreeSearch& search, const int64_t* tickets, int64_t n, const double* values,
                const double* rewards, const double* outcomes) {
  Claim claim(search, "tell_score", tickets, n);
  claim.check_kind("tell_score", RequestKind::kScore);
  for (int64_t i = 0; i < n; ++i) {
    check(finite(values[i]), "tell_score", "values", "[", i, "] is ", values[i], " (ticket ",
          tickets[i], "); it must be finite");
    check(rewards == nullptr || finite(rewards[i]), "tell_score", "rewards", "[", i, "] is ",
          rewards == nullptr ? 0.0 : rewards[i], " (ticket ", tickets[i], "); it must be finite");
    check(outcomes == nullptr || finite(outcomes[i]), "tell_score", "outcomes", "[", i, "] is ",
          outcomes == nullptr ? 0.0 : outcomes[i], " (ticket ", tickets[i], "); it must be finite");
  }
  claim.keep();
  search.has_rewards |= rewards != nullptr;
  Nodes& nodes = search.nodes;
  for (int64_t i = 0; i < n; ++i) {
    const Ticket& ticket = search.tickets[tickets[i]];
    const int32_t v = ticket.node, above = nodes.parent[v];
    nodes.value[v] = values[i];
    if (rewards != nullptr) nodes.reward[v] = rewards[i];
    if (outcomes != nullptr) nodes.outcome[v] = outcomes[i];
    if (search.selection.prior == Prior::kSoftmaxOfValue) forget_priors(nodes, v);
    nodes.flags[v] = (nodes.flags[v] | kScored) & ~kScoreOpen;
    search.problem[ticket.problem].used.prm_tokens +=
        nodes.path_tokens[v] - (above == kNoParent ? 0 : nodes.path_tokens[above]);
    answered(search, ticket.leaf);
  }
}

void tell_judge(TreeSearch& search, const int64_t* tickets, int64_t n, const bool* correct) {
  Claim claim(search, "tell_judge", tickets, n);
  claim.check_kind("tell_judge", RequestKind::kJudge);
  claim.keep();
  for (int64_t i = 0; i < n; ++i) {
    int32_t& flags = search.nodes.flags[search.tickets[tickets[i]].node];
    flags = (flags & ~(kJudgeOpen | kCorrect)) | kJudged | (correct[i] ? kCorrect : 0);
  }
}

void fail(TreeSearch& search, const int64_t* tickets, int64_t n, bool retry) {
  Claim claim(search, "fail", tickets, n);
  claim.keep();
  for (int64_t i = 0; i < n; ++i) {
    const int32_t t = static_cast<int32_t>(tickets[i]);
    if (retry) {
      enqueue(search, t);
      continue;
    }
    search.tickets[t].state = TicketState::kFailed;
    const Ticket& ticket = search.tickets[t];
    int32_t& flags = search.nodes.flags[ticket.node];
    switch (ticket.kind) {
      case RequestKind::kExpand:
        if (ticket.rolls) break;
        --search.nodes.expanding[ticket.node];
        close_if_barren(search.nodes, ticket.node);
        break;
      case RequestKind::kScore:
        flags = (flags & ~kScoreOpen) | kPruned;
        forget_priors(search.nodes, ticket.node);
        break;
      case RequestKind::kJudge:
        flags &= ~kJudgeOpen;
    }
    answered(search, ticket.leaf);
  }
}

}  // namespace stepscore
