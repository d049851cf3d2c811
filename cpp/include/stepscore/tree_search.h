// Trees of reasoning steps over many problems at once: which samples and scores to ask for, what
// was told, and where the search goes next.
// GPU: no sense: a path is a chain of dependent reads, and takes a thousandth of the models' time
//
// Node = problem * max_nodes + number in the problem; 0 is the root's number. Numbers are given
// when an expansion is requested, so they do not depend on the order in which answers are told.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace stepscore {

constexpr int32_t kNoParent = -1;
constexpr int32_t kNoChild = -1;
constexpr int32_t kNoSimulation = -1;  // the leaf of a request that no simulation waits for
constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

enum NodeFlag : int32_t {
  kExists = 1,          // the policy told it, or it is a root
  kTerminal = 1 << 1,   // nothing follows it
  kPruned = 1 << 2,     // out of the search: by prune, by its failure
  kDuplicate = 1 << 3,  // repeats a sibling of its expansion
  kExpanded = 1 << 4,
  kScored = 1 << 5,
  kJudged = 1 << 6,
  kCorrect = 1 << 7,
  kPending = 1 << 8,      // a simulation waits here for answers
  kClosed = 1 << 9,       // nothing here or below is left to be selected
  kPriorReady = 1 << 10,  // the priors of its children are computed
  kScoreOpen = 1 << 11,
  kJudgeOpen = 1 << 12,
  kBlocked = 1 << 13,    // simulations wait at all that could be selected below
  kScattered = 1 << 14,  // its children have no consecutive numbers
};

// Children of one expansion have consecutive numbers. Those of several are linked by next_sibling
// in the order in which they were requested (kScattered).
struct Nodes {  // each [problems * max_nodes]
  std::vector<int32_t> parent, first_child, last_child, next_sibling, child_count, depth, flags;
  std::vector<int32_t> visits;     // N: simulations through it that are backed up
  std::vector<int32_t> in_flight;  // O: simulations through it that are not yet
  std::vector<int32_t> waiting;    // open requests that the simulation which ended here waits for
  std::vector<int32_t> expanding;  // open expansions
  std::vector<int32_t> answer_id;
  std::vector<int32_t> path_tokens;   // tokens from the root to its end
  std::vector<int32_t> payload_size;  // its step in the payload, in bytes
  std::vector<int64_t> payload_begin;
  std::vector<double> value_sum;  // W; under kMax and kWeighted the value itself
  std::vector<double> value;      // what was scored; NaN before
  std::vector<double> reward, logprob, prior;
  std::vector<double> outcome;  // of a second scorer; NaN before it is told
  // Its roll-forward: steps that a value was taken from, outside the tree.
  std::vector<int32_t> rolled, rolled_count;
};

// One list of the fields, for everything that treats them alike.
template <class Fields, class Visit>
void for_each_field(Fields& nodes, Visit visit) {
  visit("parent", nodes.parent, kNoParent);
  visit("first_child", nodes.first_child, kNoChild);
  visit("last_child", nodes.last_child, kNoChild);
  visit("next_sibling", nodes.next_sibling, kNoChild);
  visit("child_count", nodes.child_count, 0);
  visit("depth", nodes.depth, 0);
  visit("flags", nodes.flags, 0);
  visit("visits", nodes.visits, 0);
  visit("in_flight", nodes.in_flight, 0);
  visit("waiting", nodes.waiting, 0);
  visit("expanding", nodes.expanding, 0);
  visit("answer_id", nodes.answer_id, -1);
  visit("path_tokens", nodes.path_tokens, 0);
  visit("payload_size", nodes.payload_size, 0);
  visit("payload_begin", nodes.payload_begin, int64_t{0});
  visit("value_sum", nodes.value_sum, 0.0);
  visit("value", nodes.value, std::numeric_limits<double>::quiet_NaN());
  visit("reward", nodes.reward, 0.0);
  visit("logprob", nodes.logprob, 0.0);
  visit("prior", nodes.prior, 1.0);
  visit("outcome", nodes.outcome, std::numeric_limits<double>::quiet_NaN());
  visit("rolled", nodes.rolled, kNoChild);
  visit("rolled_count", nodes.rolled_count, 0);
}

// Samples are granted up to their budget. The budgets of tokens are looked at before a request for
// samples, so the answers to the last one may go beyond.
struct Budgets {
  int64_t samples = kUnlimited;
  int64_t tokens = kUnlimited;      // that the policy generates
  int64_t prm_tokens = kUnlimited;  // of the steps that the scorer reads
};

struct Problem {
  uint64_t key;  // of its random numbers
  Budgets budget;
  Budgets used{0, 0, 0};
  int32_t nodes = 1;         // numbers given, the root's included
  int32_t simulations = 0;   // begun, without the evaluation of the root
  int32_t open_leaves = 0;   // simulations that wait for answers
  int32_t found = kNoChild;  // the node whose value passed the gate
};

enum class RequestKind : uint8_t { kExpand, kScore, kJudge };
enum class SampleMode : uint8_t { kStep, kBlock, kPartial, kRollout };
enum class TicketState : uint8_t { kQueued, kAsked, kTold, kFailed };

struct Ticket {
  int32_t problem;
  int32_t node;     // to expand, score or judge
  int32_t leaf;     // where the simulation ended that waits for it, or kNoSimulation
  int32_t first;    // kExpand: the first child's number is taken from here
  int32_t samples;  // kExpand: children at most
  int32_t next;     // in the problem's queue
  RequestKind kind;
  SampleMode mode;
  TicketState state;
  bool rolls = false;  // kExpand: the samples roll forward, outside the tree
};

constexpr int kRequestKinds = 3;
constexpr int32_t kNoTicket = -1;

// First in, first out per problem; problems take turns.
struct RequestQueue {
  std::vector<int32_t> head, tail, size;  // [problems]
  int64_t total = 0;
  int64_t turn = 0;  // the problem that is served first
};

enum class SelectRule : uint8_t { kPuct, kMuZero, kUct, kGumbel };
enum class Prior : uint8_t { kOne, kExp, kSoftmax, kSoftmaxOfValue, kExpOfMean, kSoftmaxOfMean };
enum class Unvisited : uint8_t { kZero, kParent, kLeast, kValue, kBonus, kFirst };
enum class Backup : uint8_t { kMean, kMax, kWeighted };
enum class BackupFrom : uint8_t { kLeaf, kBestChild, kChildren, kRollout };
enum class Evaluate : uint8_t { kLeaf, kChildren };
enum class Terminals : uint8_t { kRevisit, kOnce };
enum class Exhausted : uint8_t { kElsewhere, kStop };
enum class Duplicates : uint8_t { kKeep, kMerge };
enum class Ends : uint8_t { kScore, kOutcome };
enum class RootExpansion : uint8_t { kBefore, kCounted };
enum class VirtualLoss : uint8_t { kCount, kConstant };

// Everything that tells one Monte Carlo tree search from another.
struct Selection {
  SelectRule rule = SelectRule::kPuct;
  Prior prior = Prior::kSoftmax;
  Unvisited unvisited = Unvisited::kZero;
  Backup backup = Backup::kMean;
  BackupFrom backup_from = BackupFrom::kLeaf;
  Evaluate evaluate = Evaluate::kChildren;
  Terminals terminals = Terminals::kRevisit;
  Exhausted exhausted = Exhausted::kElsewhere;  // what follows where nothing is left below
  Duplicates duplicates = Duplicates::kKeep;    // among the children of a leaf
  Ends ends = Ends::kScore;                     // what a terminal gives back
  RootExpansion root = RootExpansion::kBefore;  // the first simulation, or counted as one
  VirtualLoss virtual_loss = VirtualLoss::kCount;
  double loss = 1.0;          // per simulation in flight, under kConstant
  double c = 1.25;            // kPuct, kMuZero: c_init; kUct: the factor of the root
  double c_base = 19652.0;    // infinity: c does not grow
  double log_factor = 1.0;    // kUct: of the logarithm below the root
  double count_offset = 0.0;  // kUct: added to N and n
  double bonus = 0.0;         // kBonus
  double discount = 1.0;
  double value_count = 0.0;  // visits that a node's own value counts as in its mean
  double mean_epsilon = 0.0;
  double depth_value = std::numeric_limits<double>::infinity();  // at max_depth; or its score
  double gate = std::numeric_limits<double>::infinity();  // a leaf of this value ends the search
  double roll_weight = 0.5;  // kBestChild: of the greatest value that it rolls forward to
  double value_scale = 0.1;  // kGumbel
  double visit_offset = 50.0;
  double gumbel_scale = 1.0;
  int32_t considered = 16;
  int32_t simulations = 0;
  int32_t samples = 0;
  int32_t roll_steps = 0;  // kBestChild
  int32_t roll_samples = 1;
  int32_t max_depth = std::numeric_limits<int32_t>::max();
  bool operator==(const Selection&) const = default;
};

// What of a rule depends on counts alone, so that it is computed once.
struct RuleTables {
  std::vector<double> exploration;               // by visits of the parent
  std::vector<std::vector<int32_t>> considered;  // kGumbel: by children considered, simulation
};

struct TreeSearch {
  int64_t problems;
  int64_t max_nodes;  // of a problem
  uint64_t seed;
  bool deterministic;     // backups wait until all simulations of the problem have their answers
  bool merge_duplicates;  // of one expansion: the first is kept
  Nodes nodes;
  std::vector<Problem> problem;
  bool has_rewards = false;  // some were told
  std::vector<char> payload;
  std::vector<Ticket> tickets;
  int64_t outstanding = 0;                   // tickets that were asked and wait for their answer
  std::vector<RequestQueue> queues;          // [kRequestKinds]
  std::vector<std::vector<int32_t>> leaves;  // [problems], in the order of their selection
  Selection selection;                       // of the simulations in flight
  RuleTables tables;                         // of the selection

  int32_t root(int64_t p) const { return static_cast<int32_t>(p * max_nodes); }
  int64_t problem_of(int32_t node) const { return node / max_nodes; }
};

struct TreeSearchOptions {
  int64_t problems;
  int64_t max_nodes;
  uint64_t seed = 0;
  bool deterministic = true;
  bool merge_duplicates = false;
};

// keys, and each of the budgets: [problems], or null for the problem's index and no limit.
TreeSearch make_tree_search(const TreeSearchOptions& options, const int64_t* keys,
                            const int64_t* samples, const int64_t* tokens,
                            const int64_t* prm_tokens);

// --- requests ----------------------------------------------------------------------------------

// Granted are the samples that the budgets and max_nodes leave, in the order of the nodes.
void request_expand(TreeSearch& search, const int64_t* nodes,  // [n]
                    const int64_t* samples,                    // [n]
                    int64_t n, SampleMode mode,
                    int64_t* granted);  // [n]
void request_score(TreeSearch& search, const int64_t* nodes, int64_t n);
void request_judge(TreeSearch& search, const int64_t* nodes, int64_t n);

// The next requests of a kind, at most `per_problem` of one problem. When not all are handed out,
// problems share evenly, and the first that got less is the first of the next call.
std::vector<int32_t> ask(TreeSearch& search, RequestKind kind, int64_t most, int64_t per_problem);

// --- answers: all of a call are taken, or none and InvalidArgument says why --------------------

struct Children {                  // of tickets one after the other
  const int64_t* offsets;          // [tickets + 1], over children
  const double* logprob;           // [children], or null: 0
  const bool* terminal;            // [children], or null: false
  const int64_t* answer_id;        // [children], or null: -1
  const int64_t* tokens;           // [children], or null: 0
  const char* payload;             // [bytes], or null: no payload
  const int64_t* payload_offsets;  // [children + 1], over bytes
};
void tell_expand(TreeSearch& search, const int64_t* tickets, int64_t n, const Children& children);
void tell_score(TreeSearch& search, const int64_t* tickets, int64_t n,
                const double* values,               // [n]
                const double* rewards,              // [n], or null: 0
                const double* outcomes = nullptr);  // [n], or null: none
void tell_judge(TreeSearch& search, const int64_t* tickets, int64_t n, const bool* correct);

// retry: the same tickets are asked again. Otherwise the nodes that they were for are pruned.
void fail(TreeSearch& search, const int64_t* tickets, int64_t n, bool retry);

// --- where to go -------------------------------------------------------------------------------

// Begins simulations until every problem has `leaves` of them in flight, or no more to begin, and
// requests what they need. Returns how many were begun, those at terminals included.
int64_t select(TreeSearch& search, const Selection& selection, int32_t leaves);

// The root's child that a finished search chooses, or kNoChild; ties: the lowest number.
enum class Choice : uint8_t { kVisits, kValue, kGumbel };
void best_children(const TreeSearch& search, Choice choice, int64_t* children);  // [problems]

void prune(TreeSearch& search, const int64_t* nodes, int64_t n);

// Nodes without children that are not terminal, pruned, or duplicates, and have no open expansion.
std::vector<int64_t> frontier(const TreeSearch& search, int64_t* offsets);  // [problems + 1]

// Nodes from the root to each node, both included.
std::vector<int64_t> paths(const TreeSearch& search, const int64_t* nodes, int64_t n,
                           int64_t* offsets);  // [n + 1]

// Payload of the nodes from the root to each node.
std::string path_payload(const TreeSearch& search, const int64_t* nodes, int64_t n,
                         int64_t* offsets);  // [n + 1], over bytes

// [count] uniform in [0, 1), of draw number `draws[i]` at the node: a function of the seed, the
// problem's key, the node's number in its problem and the draw alone.
void uniform(const TreeSearch& search, const int64_t* nodes, const int64_t* draws, int64_t count,
             double* out);

// --- snapshots ---------------------------------------------------------------------------------

// Requests that were asked and not told are asked again after restore.
std::string snapshot(const TreeSearch& search);
TreeSearch restore(std::string_view bytes);  // InvalidArgument: truncated, foreign, damaged

}  // namespace stepscore
