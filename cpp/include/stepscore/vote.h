// Answers and scores of a problem's candidates -> the answer that wins.
#pragma once

#include <cstdint>

#include "stepscore/scalar_math.h"

namespace stepscore {

constexpr int64_t kNoAnswer = -1;  // the answer id of a candidate that takes no part
constexpr int64_t kNoWinner = -1;

enum class Rule { kMajority, kWeighted, kBestOfN };
enum class Ties { kFirst, kBestScore };

struct Ballot {
  const int64_t* answer_ids;  // [n], or null: every candidate is an answer of its own
  const double* scores;       // [n], or null when only kMajority is asked
  const int64_t* offsets;     // [problems + 1]
  int64_t problems;
  Ties ties = Ties::kFirst;
  bool drop_nan = false;  // a candidate whose score is NaN takes no part; false: it raises
};

struct VoteOutput {    // each [problems, rules]
  int64_t* winner;     // index of the candidate into the flat arrays, or kNoWinner
  int64_t* answer_id;  // its answer id, or kNoAnswer
  double* score;       // the class's count, sum of scores or best score; NaN without a winner
  bool* tied;          // another answer reaches the same score
};

// InvalidArgument when a rule, or the policy for ties, needs scores and there are none.
void check_ballot(const Ballot& ballot, const Rule* rules, int64_t rule_count);

// One pass over the candidates for all rules. A class is one answer of one problem; classes stand
// in the order of their first candidate. kMajority: most candidates; kWeighted: largest sum of
// scores, added in candidate order; kBestOfN: largest single score. Ties go to the first class, or
// under kBestScore to the one that holds the highest single score. The winner is the class's first
// candidate, under kBestOfN its best one.
//
// InvalidArgument, naming the candidate, for a NaN score, an answer id below kNoAnswer, or an
// infinite score under kWeighted.
void vote(const Ballot& ballot, const Rule* rules, int64_t rule_count, const VoteOutput& out);

// What is known of one answer of a problem.
struct AnswerClass {
  int64_t id;
  int64_t first;  // its first candidate
  int64_t best;   // its first candidate with the highest score
  int64_t count;
  double sum;
  double best_score;
};

// The class of one candidate. Its sum starts at zero, which turns -0.0 into 0.0.
STEPSCORE_HD AnswerClass class_of(int64_t id, int64_t candidate, double score) {
  return {id, candidate, candidate, 1, 0.0 + score, score};
}

// Adds a later candidate of the same answer.
STEPSCORE_HD void add_candidate(AnswerClass& answer, int64_t candidate, double score) {
  answer.count += 1;
  answer.sum += score;
  const bool better = score > answer.best_score;
  answer.best = better ? candidate : answer.best;
  answer.best_score = better ? score : answer.best_score;
}

STEPSCORE_HD double class_score(Rule rule, const AnswerClass& answer) {
  switch (rule) {
    case Rule::kMajority:
      return static_cast<double>(answer.count);
    case Rule::kWeighted:
      return answer.sum;
    default:
      return answer.best_score;
  }
}

}  // namespace stepscore
