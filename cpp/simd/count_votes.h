// Votes by class: their range, their sums, and which class leads. Included by leaf_loops.cc only.

// The places of all rules, so that a table of functions has one for each.
template <int64_t... kIndices>
struct Indices {};
template <int64_t kCount, int64_t... kIndices>
struct UpTo : UpTo<kCount - 1, kCount - 1, kIndices...> {};
template <int64_t... kIndices>
struct UpTo<0, kIndices...> {
  using Type = Indices<kIndices...>;
};
using EveryRule = UpTo<kRuleKinds>::Type;

inline __attribute__((always_inline)) Integers counted_from(int64_t first) {
  static constexpr int64_t kSteps[kReduceLanes] = {0, 1, 2, 3, 4, 5, 6, 7};
  return Integers::load(kSteps) + Integers::all(first);
}

// Bit j: lane j is negative, as the lanes of a comparison are where it holds.
inline __attribute__((always_inline)) uint32_t mask_of(Integers lanes) {
  uint32_t mask = 0;
#if defined(__AVX512F__)
  __m512i all;
  __builtin_memcpy(&all, &lanes, sizeof(all));
  mask = _cvtmask8_u32(_mm512_cmplt_epi64_mask(all, _mm512_setzero_si512()));
#elif defined(__AVX2__)
  for (int i = 0; i < Integers::kParts; ++i) {
    __m256d some;
    __builtin_memcpy(&some, &lanes.part[i], sizeof(some));
    mask |= static_cast<uint32_t>(_mm256_movemask_pd(some)) << (4 * i);
  }
#else
  int64_t lane[kReduceLanes];
  lanes.store(lane);
  for (int j = 0; j < kReduceLanes; ++j) mask |= static_cast<uint32_t>(lane[j] < 0) << j;
#endif
  return mask;
}

#define STEPSCORE_COMPARED(NAME, TYPE, OP)                                       \
  inline __attribute__((always_inline)) Integers NAME(TYPE a, TYPE b) {          \
    Integers out;                                                                \
    for (int i = 0; i < TYPE::kParts; ++i) out.part[i] = a.part[i] OP b.part[i]; \
    return out;                                                                  \
  }
STEPSCORE_COMPARED(equal, Reals, ==)
STEPSCORE_COMPARED(above, Reals, >)
STEPSCORE_COMPARED(above, Integers, >)
#undef STEPSCORE_COMPARED

// Lane j of the result is lane j + kBy, and around the end.
template <int kBy, class Some>
inline __attribute__((always_inline)) Some turned(const Some& lanes) {
  Some out;
  for (int i = 0; i < Some::kParts; ++i) {
    if constexpr (kBy >= Some::kWidth) {
      out.part[i] = lanes.part[(i + kBy / Some::kWidth) % Some::kParts];
    } else {
      const Integers places = counted_from(kBy);
      out.part[i] = shuffled(lanes.part[i], lanes.part[i], places.part[0]);
    }
  }
  return out;
}
static_assert(kReduceLanes == 8);  // what LaneLeads folds in three steps

inline double first_lane(const Reals& lanes) {
  return lanes.part[0][0];
}
inline int64_t first_lane(const Integers& lanes) {
  return lanes.part[0][0];
}

// Nothing branches on an id; what was met on the way tells at the end.
inline int64_t find_classes(const int64_t* ids, int64_t count, int64_t* firsts, bool* missing) {
  int64_t classes = 0, i = 0;
  bool wrong = false, absent = false;
#if defined(__AVX512DQ__)
  // The highest id so far, lane by lane: each lane against those before it, then against all before
  // the eight. An id that is more than the next number exceeds it; around the end it is negative.
  const __m512i ones = _mm512_set1_epi64(1), none = _mm512_set1_epi64(kNoAnswer);
  const __m512i last = _mm512_set1_epi64(7);
  __m512i before = none, places = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  __m512i excess = _mm512_setzero_si512(), lowest = excess;
  for (; i + 8 <= count; i += 8) {
    const __m512i some = _mm512_loadu_si512(ids + i);
    __m512i highest = _mm512_max_epi64(some, _mm512_alignr_epi64(some, none, 7));
    highest = _mm512_max_epi64(highest, _mm512_alignr_epi64(highest, none, 6));
    highest = _mm512_max_epi64(highest, _mm512_alignr_epi64(highest, none, 4));
    const __m512i in_block = _mm512_permutexvar_epi64(last, highest);
    highest = _mm512_max_epi64(highest, before);
    const __m512i next = _mm512_add_epi64(_mm512_alignr_epi64(highest, before, 7), ones);
    before = _mm512_max_epi64(before, in_block);
    excess = _mm512_max_epi64(excess, _mm512_sub_epi64(some, next));
    lowest = _mm512_min_epi64(lowest, some);
    const __mmask8 fresh = _mm512_cmpeq_epi64_mask(some, next);
    _mm512_storeu_si512(firsts + classes, _mm512_maskz_compress_epi64(fresh, places));
    places = _mm512_add_epi64(places, _mm512_set1_epi64(8));
    // Not of the mask itself: GCC 12 stores one byte of a mask that it spills, and loads four.
    classes += __builtin_popcount(_cvtmask8_u32(fresh));
  }
  const uint32_t below = _cvtmask8_u32(_mm512_cmplt_epi64_mask(lowest, none));
  wrong = (_cvtmask8_u32(_mm512_cmpgt_epi64_mask(excess, _mm512_setzero_si512())) | below) != 0;
  absent = _cvtmask8_u32(_mm512_cmplt_epi64_mask(lowest, _mm512_setzero_si512())) != 0;
#endif
  for (; i < count; ++i) {
    firsts[classes] = i;  // stays where the answer is new
    wrong |= (ids[i] > classes) | (ids[i] < kNoAnswer);
    absent |= ids[i] == kNoAnswer;
    classes += ids[i] == classes ? 1 : 0;
  }
  *missing = absent;
  return wrong ? -1 : classes;
}

inline bool lie_within(const double* scores, int64_t count, double low, double high) {
  int64_t outside = 0;
  for (int64_t i = 0; i < count; ++i) {
    outside |= ((scores[i] >= low) & (scores[i] <= high)) ? 0 : 1;
  }
  return outside == 0;
}

inline bool survey_scores(const double* scores, int64_t count, double* low, double* high) {
  Reals lows = Reals::all(kInfinity), highs = Reals::all(-kInfinity);
  Integers numbers = Integers::all(-1);
  int64_t i = 0;
  for (; i + kReduceLanes <= count; i += kReduceLanes) {
    const Reals some = Reals::load(scores + i);
    lows = smaller(lows, some);
    highs = larger(highs, some);
    numbers = numbers & equal(some, some);
  }
  double lowest = fold_lanes(lows, [](auto a, auto b) { return b < a ? b : a; });
  double highest = fold_lanes(highs, [](auto a, auto b) { return b > a ? b : a; });
  bool missing = mask_of(numbers) != (1u << kReduceLanes) - 1;
  for (; i < count; ++i) {
    lowest = scores[i] < lowest ? scores[i] : lowest;
    highest = scores[i] > highest ? scores[i] : highest;
    missing |= scores[i] != scores[i];
  }
  *low = lowest;
  *high = highest;
  return missing;
}

// A ClassCell in the registers.
typedef double CellReals __attribute__((vector_size(sizeof(ClassCell))));
typedef int64_t CellIntegers __attribute__((vector_size(sizeof(ClassCell))));

inline void add_votes(const int64_t* classes, const double* scores, int64_t from, int64_t to,
                      ClassCell* cells) {
  const auto add = [cells](int64_t answer, double score) {
    ClassCell& cell = cells[answer];
    cell.count += 1.0;
    cell.sum += score;
    cell.best_score = score > cell.best_score ? score : cell.best_score;
  };
  // What is read ahead of the stores need not wait for them, and the compiler cannot know it.
  constexpr int64_t kAhead = 4;
  int64_t k = from;
  for (; k + kAhead <= to; k += kAhead) {
    int64_t answers[kAhead];
    double some[kAhead];
    __builtin_memcpy(answers, classes + k, sizeof(answers));
    __builtin_memcpy(some, scores + k, sizeof(some));
    for (int64_t j = 0; j < kAhead; ++j) add(answers[j], some[j]);
  }
  for (; k < to; ++k) add(classes[k], scores[k]);
}

// Classes that do not exist reach -infinity, so that the loop ends where it can be predicted. Every
// other class counts by itself: half as many steps wait for each other. A NaN compares as false.
inline void lead_cells(ClassCell* cells, int64_t count, Lead* leads) {
  const CellReals none = CellReals{} - kInfinity;
  const int64_t padded = (count + kReduceLanes - 1) / kReduceLanes * kReduceLanes;
  for (int64_t j = 0; j < kReduceLanes; ++j) {
    __builtin_memcpy(cells + count + j, &none, sizeof(none));
  }
  CellReals lead[2] = {none, none}, second[2] = {none, none};
  CellIntegers at[2] = {CellIntegers{}, CellIntegers{} + 1};
  for (int64_t c = 0; c < padded; c += kReduceLanes) {
#pragma GCC unroll 8
    for (int64_t j = 0; j < kReduceLanes; ++j) {
      const int64_t half = j % 2;
      CellReals cell;
      __builtin_memcpy(&cell, cells + c + j, sizeof(cell));
      const CellReals behind = lead[half] < cell ? lead[half] : cell;
      second[half] = behind > second[half] ? behind : second[half];
      at[half] = cell > lead[half] ? CellIntegers{} + (c + j) : at[half];
      lead[half] = cell > lead[half] ? cell : lead[half];
    }
  }
  const CellIntegers ahead = (lead[1] > lead[0]) | ((lead[1] == lead[0]) & (at[1] < at[0]));
  const CellReals behind = ahead ? lead[0] : lead[1];
  second[0] = second[1] > second[0] ? second[1] : second[0];
  second[0] = behind > second[0] ? behind : second[0];
  lead[0] = ahead ? lead[1] : lead[0];
  at[0] = ahead ? at[1] : at[0];
  for (int64_t q = 0; q < kCellLeads; ++q) {
    const double first = (&cells[0].count)[q];
    leads[q] = {at[0][q], lead[0][q], second[0][q]};
    if (first != first) leads[q] = {0, first, lead[0][q]};
  }
}

// Some voters at a time meet voter k.
inline void find_dominated(const double* scores, int64_t stride, int64_t width, int64_t known,
                           int64_t count, char* dominated) {
  constexpr uint32_t kAll = (1u << kReduceLanes) - 1;
  for (int64_t k = 0; k < count; ++k) {
    if (k >= known) dominated[k] = 0;
    const int64_t first = k < known ? known / kReduceLanes * kReduceLanes : 0;
    for (int64_t j = first; j < count && dominated[k] == 0; j += kReduceLanes) {
      // Whether they are worse somewhere, as whoever is not there, and better somewhere.
      Integers worse = above(counted_from(j), Integers::all(count - 1)), better = Integers::all(0);
      for (int64_t s = 0; s < width; ++s) {
        const Reals voter = Reals::all(scores[s * stride + k]);
        const Reals others = Reals::load(scores + s * stride + j);
        worse = worse | above(voter, others);
        better = better | above(others, voter);
        if (s % 2 == 1 && mask_of(worse) == kAll) break;
      }
      dominated[k] = (mask_of(better) & ~mask_of(worse)) != 0 ? 1 : 0;
    }
  }
}

// Of some classes, lane by lane: which leads, and the best score behind. Nothing branches on it.
struct LaneLeads {
  Reals scores = Reals::all(-kInfinity), seconds = Reals::all(-kInfinity);
  Integers places = counted_from(0);

  // Other classes. In one lane they come after those before; else the place decides.
  inline __attribute__((always_inline)) void meet(Reals other, Reals other_seconds,
                                                  Integers other_places, bool come_after) {
    const Integers above_all = above(other, scores);
    const Integers first = equal(other, scores) & above(places, other_places);
    const Integers lead = come_after ? above_all : above_all | first;
    const Reals behind = select(above_all, scores, other);
    seconds = larger(larger(seconds, other_seconds), behind);
    scores = select(lead, other, scores);
    for (int i = 0; i < Integers::kParts; ++i) {
      places.part[i] = lead.part[i] != 0 ? other_places.part[i] : places.part[i];
    }
  }
  template <int kBy>
  inline __attribute__((always_inline)) void fold() {
    meet(turned<kBy>(scores), turned<kBy>(seconds), turned<kBy>(places), false);
  }
  inline __attribute__((always_inline)) Lead lead(const double* reached) {
    fold<4>();
    fold<2>();
    fold<1>();
    if (reached[0] != reached[0]) return {0, reached[0], first_lane(scores)};
    return {first_lane(places), first_lane(scores), first_lane(seconds)};
  }
};

template <RuleKind kRule>
Lead score_classes_by(const ClassArrays& classes, const double* weights, const Tally& given_tally,
                      const VoteParameters& given, double* reached) {
  const Tally tally = given_tally;
  const VoteParameters parameters = given;
  const Reals nothing = Reals::all(-kInfinity);
  LaneLeads leads;
  for (int64_t c = 0; c < classes.count; c += kReduceLanes) {
    double block[kReduceLanes];
    for (int64_t j = 0; j < kReduceLanes; ++j) {
      const AnswerClass answer = {
          0, 0, 0, classes.counts[c + j], classes.sums[c + j], classes.best_scores[c + j]};
      block[j] = class_score(kRule, answer, weights[c + j], tally, parameters);
    }
    const Integers places = counted_from(c);
    const Integers there = above(Integers::all(classes.count), places);
    const Reals scores = select(there, Reals::load(block), nothing);
    scores.store(reached + c);
    leads.meet(scores, nothing, places, true);
  }
  return leads.lead(reached);
}

template <int64_t... kIndices>
Lead score_classes_of(Indices<kIndices...>, RuleKind rule, const ClassArrays& classes,
                      const double* weights, const Tally& tally, const VoteParameters& parameters,
                      double* reached) {
  using Scorer =
      Lead (*)(const ClassArrays&, const double*, const Tally&, const VoteParameters&, double*);
  static constexpr Scorer kScorers[] = {score_classes_by<static_cast<RuleKind>(kIndices)>...};
  return kScorers[static_cast<int>(rule)](classes, weights, tally, parameters, reached);
}
inline Lead score_classes(RuleKind rule, const ClassArrays& classes, const double* weights,
                          const Tally& tally, const VoteParameters& parameters, double* reached) {
  return score_classes_of(EveryRule{}, rule, classes, weights, tally, parameters, reached);
}

// All voters are looked at: an end at the first that fits could not be predicted.
inline int64_t find_voter(const int64_t* classes, const double* scores, int64_t count,
                          int64_t voter_class, double score) {
  const bool any_class = voter_class == kAnyClass;
  int64_t first = count;
  for (int64_t k = 0; k < count; ++k) {
    const bool fits = ((classes[k] == voter_class) | any_class) & (scores[k] == score);
    const int64_t place = fits ? k : count;
    first = place < first ? place : first;
  }
  return first;
}
